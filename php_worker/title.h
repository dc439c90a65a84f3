// The process's title, as ps(1) and top(1) show it: the memory that the kernel reads /proc/PID/cmdline from.
#pragma once

#include <string_view>

namespace paddock::php_worker {

// The kernel shows exactly the bytes that the arguments took when a program was started. So that there is
// room for a title, paddock-php is started again with one more argument, kTitleSpace followed by padding,
// which it ignores.
inline constexpr std::string_view kTitleSpace = "--title-space=";
[[nodiscard]] bool has_title_space(int argc, char **argv);
// execve(2) of `program`. Returns if that fails.
void execute_with_title_space(const char *program, int argc, char **argv);

// Call first: what of `argv` is in one piece is where titles are written.
void use_title_space(int argc, char **argv);

// Plain stores, no system call. Bytes that are not printable ASCII become '?'; what does not fit is cut.
// Without reserved space: nothing.
void set_title(std::string_view first, std::string_view second = {}, std::string_view third = {},
               std::string_view fourth = {});

}  // namespace paddock::php_worker
