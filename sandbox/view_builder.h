// Builds a sandbox's view beside its first process, which goes on meanwhile: a process of the same memory and
// the same namespaces.
#pragma once

#include <sys/types.h>

#include "sandbox/steps.h"
#include "sandbox/view.h"

namespace paddock::sandbox {

class ViewBuilder {
 public:
  // clone(2) with CLONE_VM. The rights that the caller has at the moment are the builder's till its end.
  // `stands` is the writing end of a pipe and becomes the builder's: a byte is in it if all went well, and it
  // is closed when the builder has ended. Returns 0 or an errno value. `plan` is to stay until reap().
  [[nodiscard]] int start(const view::Plan &plan, int stands);
  // Has everybody in the namespace moved into the view, once it is built. To be called when the caller forks
  // nobody: pivot_root(2) would leave behind who is being forked.
  void let_enter();
  // Waits for the end of the builder. Its report counts the steps from 0; that it was killed shows in the
  // pipe alone.
  [[nodiscard]] StepReport reap();

  static constexpr std::size_t kSteps = 8;
  [[nodiscard]] static const char *name_of(std::size_t step);

 private:
  struct Site;
  static int build(void *site);

  Site *site_ = nullptr;
  pid_t pid_ = 0;
};

}  // namespace paddock::sandbox
