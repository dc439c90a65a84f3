// The program that PHP's processes run in: Debian's own php command, where it is there.
//
// libphp is position-independent, and calls even its own functions through a table in which others could
// replace them: a script takes a tenth more CPU, and more, than in a program that has the same PHP built in
// (./dev bench, "What PHP's code takes from a library"). The command has, and exports all of it, for the sake
// of extensions. So what paddock-php consists of is built twice: as a program on libphp, and as an object
// that is preloaded into the command and takes main()'s place (ld.so(8), LD_PRELOAD).
#pragma once

#include <string>

namespace paddock::php_worker {

// The path to execute, with the same arguments, to run what the caller runs. The command's, with LD_PRELOAD
// in the environment, if it starts with the object that lies beside this program as PROGRAM.so; for that it
// is tried, which takes some milliseconds. Else this program itself, by /proc/self/exe.
[[nodiscard]] std::string php_program();

}  // namespace paddock::php_worker
