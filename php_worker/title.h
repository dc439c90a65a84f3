// The process's title, as ps(1) and top(1) show it: the memory that the kernel reads /proc/PID/cmdline from.
#pragma once

#include <string_view>

namespace paddock::php_worker {

// Call first in main(). The kernel shows exactly the bytes that the arguments took when the program was
// started: where that is too little for a title, starts the program again (execve of /proc/self/exe, same
// process) with one more argument, kTitleSpace followed by padding, which the program is to ignore.
void reserve_title_space(int argc, char **argv);
inline constexpr std::string_view kTitleSpace = "--title-space=";

// Plain stores, no system call. Bytes that are not printable ASCII become '?'; what does not fit is cut.
// Without reserved space: nothing.
void set_title(std::string_view first, std::string_view second = {}, std::string_view third = {},
               std::string_view fourth = {});

}  // namespace paddock::php_worker
