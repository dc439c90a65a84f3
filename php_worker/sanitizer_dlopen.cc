// Only in sanitizer builds: libphp loads modules with RTLD_DEEPBIND, which the sanitizers' runtime refuses,
// because a module would then not find its malloc (github.com/google/sanitizers, issue 611). Without the flag
// modules load as any library does; none of PHP's own depends on it.
#include <dlfcn.h>

extern "C" void *dlopen(const char *file, int mode) {
  using Dlopen = void *(*)(const char *, int);
  static const auto next = reinterpret_cast<Dlopen>(::dlsym(RTLD_NEXT, "dlopen"));
  return next(file, mode & ~RTLD_DEEPBIND);
}

// What PHP allocates once for its life is not freed by it, nor by us: workers and keepers end by _exit or
// exit without php_module_shutdown(), which would undo what a zygote shares.
extern "C" const char *__asan_default_options() {
  return "detect_leaks=0";
}
