#include "php_worker/request_figures.h"

#include <ctime>

#include "base/monotonic.h"
#include "php_worker/php_headers.h"

namespace paddock::php_worker {
namespace {

zend_op_array *(*compile_file)(zend_file_handle *file, int type) = nullptr;
std::uint64_t compiled = 0;  // by this process

fastcgi::Figures at_begin;

// opcache calls this one only for what it does not have.
zend_op_array *compile_and_count(zend_file_handle *file, int type) {
  ++compiled;
  return compile_file(file, type);
}

std::uint64_t cpu_ns() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(used.tv_nsec);
}

}  // namespace

void count_compilations() {
  if (compile_file != nullptr) return;
  compile_file = zend_compile_file;
  zend_compile_file = compile_and_count;
}

void begin_figures() {
  at_begin.begun_ns = monotonic_ns();
  at_begin.cpu_ns = cpu_ns();
  at_begin.compiled = compiled;
}

fastcgi::Figures figures_so_far() {
  fastcgi::Figures now;
  now.begun_ns = at_begin.begun_ns;
  now.ended_ns = monotonic_ns();
  now.cpu_ns = cpu_ns() - at_begin.cpu_ns;
  now.peak_memory = zend_memory_peak_usage(false);
  now.compiled = compiled - at_begin.compiled;
  return now;
}

}  // namespace paddock::php_worker
