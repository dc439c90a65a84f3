// A clone that gets its creator's memory instead of a copy of it.
#pragma once

#include <linux/sched.h>
#include <sys/types.h>

namespace paddock::sandbox {

// glibc keeps the thread's id in the memory that a child of clone3(2) gets; fork() corrects it through the
// pair of flags that this adds, CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID.
void correct_thread_id(clone_args &arguments);

// Whether clone_and_leave() can do that. Not for the sanitizers, which would keep what they know of two
// processes in one place.
#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
inline constexpr bool kCanGiveMemory = true;
#else
inline constexpr bool kCanGiveMemory = false;
#endif

// clone3(2) with CLONE_VM, and the child goes on where the caller was, on its stack: the call returns 0 in
// it. In the caller it does not return: there rest(argument, pid) runs on a small stack of its own
// (kRestStack), and is to end the process. The memory is then the child's alone. As long as the caller is
// there the child may do nothing but wait for its end: they share errno, heap and locks.
//
// Returns a negative errno value where nothing was cloned. The caller has one thread, and all signals are
// blocked. Its thread id (set_tid_address(2)) and restartable sequences (rseq(2)) are given up, since the
// kernel would go on writing them; arguments.child_tid is to be what the former was, for the child.
[[nodiscard]] long clone_and_leave(clone_args &arguments, void (*rest)(void *argument, pid_t pid),
                                   void *argument);
inline constexpr unsigned long kRestStack = 64 * 1024;

}  // namespace paddock::sandbox
