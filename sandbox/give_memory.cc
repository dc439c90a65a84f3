#include "sandbox/give_memory.h"

#include <linux/rseq.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace paddock::sandbox {
namespace {

alignas(64) char rest_stack[kRestStack];

// sched_getcpu(3) then asks the kernel: the area says that it is not registered.
void give_up_rseq() {
  if (__rseq_size == 0) return;
  constexpr unsigned kFirstSize = 32;  // with which glibc registers what is no longer than that
  char *const area = static_cast<char *>(__builtin_thread_pointer()) + __rseq_offset;
  ::syscall(SYS_rseq, area, std::max(__rseq_size, kFirstSize), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

}  // namespace

void correct_thread_id(clone_args &arguments) {
  void *address = nullptr;
  if (::prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0) != 0) return;
  arguments.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
  arguments.child_tid = reinterpret_cast<std::uintptr_t>(address);
}

long clone_and_leave(clone_args &arguments, void (*rest)(void *argument, pid_t pid), void *argument) {
  if (!kCanGiveMemory) return -ENOSYS;
  arguments.flags |= CLONE_VM;
  ::syscall(SYS_set_tid_address, nullptr);
  give_up_rseq();
  char *const stack = rest_stack + sizeof rest_stack;
#if defined(__x86_64__)
  long result = SYS_clone3;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jle 1f\n\t"
      "mov %[stack], %%rsp\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %[argument], %%rdi\n\t"
      "mov %%rax, %%rsi\n\t"
      "call *%[rest]\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof arguments), [stack] "r"(stack), [rest] "r"(rest), [argument] "r"(argument)
      : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long number asm("x8") = SYS_clone3;
  register long result asm("x0") = reinterpret_cast<long>(&arguments);
  register long size asm("x1") = sizeof arguments;
  asm volatile(
      "svc #0\n\t"
      "cmp x0, #0\n\t"
      "b.le 1f\n\t"
      "mov sp, %[stack]\n\t"
      "mov x29, #0\n\t"
      "mov x1, x0\n\t"
      "mov x0, %[argument]\n\t"
      "blr %[rest]\n\t"
      "brk #1\n"
      "1:"
      : "+r"(result)
      : "r"(number), "r"(size), [stack] "r"(stack), [rest] "r"(rest), [argument] "r"(argument)
      : "memory", "cc");
  return result;
#else
  (void)rest, (void)argument, (void)stack;
  return -ENOSYS;
#endif
}

}  // namespace paddock::sandbox
