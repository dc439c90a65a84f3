// What the running request takes: time, CPU, PHP's memory, and what the opcode cache did not have. For the
// access log of a web server that has our module; nobody else asks, and nobody else pays for it.
#pragma once

#include "protocols/fastcgi/figures.h"

namespace paddock::php_worker {

// Once, when PHP's modules start: before opcache puts itself in front of the compiler.
void count_compilations();

// A request begins. One system call: the CPU clock.
void begin_figures();
// So far, since begin_figures(). One system call.
[[nodiscard]] fastcgi::Figures figures_so_far();

}  // namespace paddock::php_worker
