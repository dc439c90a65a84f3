// Looks at paths that may be on a file server which does not answer: a tenant's home, what is bound. Whoever
// touches such a path waits for as long as the server takes, and the supervisor has other tenants.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "base/message_socket.h"

namespace paddock::policies {

class PathLooker {
 public:
  static constexpr std::chrono::milliseconds kPatience{1'000};

  // patience: with a look. Who has waited so long for one in vain does not wait for another.
  explicit PathLooker(std::chrono::milliseconds patience = kPatience) : patience_(patience) {}

  // What stat(2) says.
  struct Look {
    int code = 0;  // its errno; 0: the rest is known
    mode_t mode = 0;
    uid_t uid = 0;
  };

  // What the kernel has in its caches: asks nobody, and may be out of date. nullopt: it has nothing there.
  [[nodiscard]] static std::optional<Look> cached(const std::string &path);

  // By a child process, which is made with the first look, and ends with this or, where it hangs in the
  // kernel, when the file server answers. nullopt: it is not known; or the path is right below an autofs
  // mount (statfs(2), AUTOFS_SUPER_MAGIC), where looking would mount something.
  [[nodiscard]] std::optional<Look> look(const std::string &path);

 private:
  [[nodiscard]] bool start();
  [[nodiscard]] std::optional<Look> ask(const std::string &path);

  std::chrono::milliseconds patience_;
  bool out_of_patience_ = false;
  MessageSocket link_;  // to the child; invalid: there is none
};

}  // namespace paddock::policies
