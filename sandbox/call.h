// System calls that leave errno alone: for a process that shares its memory, and with it errno, with another
// one.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <type_traits>

namespace paddock::sandbox {

// Whether call() is as promised on this architecture.
#if defined(__x86_64__) || defined(__aarch64__)
inline constexpr bool kCallsLeaveErrno = true;
#else
inline constexpr bool kCallsLeaveErrno = false;
#endif

// syscall(2), but a failure is returned as the negative of its errno value.
template <typename... Arguments>
long call(long number, Arguments... arguments) {
  static_assert(sizeof...(arguments) <= 6);
  const auto word = [](auto value) -> long {
    if constexpr (std::is_integral_v<decltype(value)> || std::is_enum_v<decltype(value)>)
      return static_cast<long>(value);
    else
      return reinterpret_cast<long>(static_cast<const volatile void *>(value));
  };
  const long words[6] = {word(arguments)...};
#if defined(__x86_64__)
  long result = number;
  register long fourth asm("r10") = words[3];
  register long fifth asm("r8") = words[4];
  register long sixth asm("r9") = words[5];
  asm volatile("syscall"
               : "+a"(result)
               : "D"(words[0]), "S"(words[1]), "d"(words[2]), "r"(fourth), "r"(fifth), "r"(sixth)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long eighth asm("x8") = number;
  register long result asm("x0") = words[0];
  register long second asm("x1") = words[1];
  register long third asm("x2") = words[2];
  register long fourth asm("x3") = words[3];
  register long fifth asm("x4") = words[4];
  register long sixth asm("x5") = words[5];
  asm volatile("svc #0"
               : "+r"(result)
               : "r"(eighth), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
               : "memory");
  return result;
#else
  const long result = ::syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
  return result < 0 ? -errno : result;
#endif
}

// For steps that are one call: 0 or errno.
[[nodiscard]] inline int code_of_call(long result) {
  return result < 0 ? static_cast<int>(-result) : 0;
}

}  // namespace paddock::sandbox
