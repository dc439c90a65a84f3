// main()'s place in somebody else's program (php_program.h).
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

#include "php_worker/program.h"

namespace {

using Main = int(int, char **, char **);
using Hook = void();

int main_in_its_place(int argc, char **argv, char **) {
  ::unsetenv("LD_PRELOAD");  // what is started from here is started as it is
  return paddock::php_worker::run_program(argc, argv);
}

}  // namespace

// What a program's _start calls (Linux Standard Base, "__libc_start_main"), found here before glibc's.
extern "C" int __libc_start_main(Main *, int argc, char **argv, Hook *init, Hook *fini, Hook *rtld_fini,
                                 void *stack_end) {
  using Start = int(Main *, int, char **, Hook *, Hook *, Hook *, void *);
  const auto start = reinterpret_cast<Start *>(::dlsym(RTLD_NEXT, "__libc_start_main"));
  if (start == nullptr) ::_exit(127);
  return start(main_in_its_place, argc, argv, init, fini, rtld_fini, stack_end);
}
