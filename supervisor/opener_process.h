// A child of the supervisor's that opens what sandboxes show of the host, each time in a child of its own.
// One of them is there before the order, where orders leave the time to fork it.
//
// It is forked while the supervisor is small: a fork copies the page tables of all that the supervisor knows,
// which are several milliseconds with 10,000 tenants.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/message_socket.h"
#include "base/process.h"
#include "network/interface.h"
#include "sandbox/detached_tree.h"

namespace paddock::supervisor {

struct TreeRequest {
  std::string path;
  sandbox::TreeRules rules;
  bool may_be_missing = false;  // then there is no tree, and the descriptor is none

  template <typename Io>
  void fields(Io &io) {
    io(path);
    io(rules.directory);
    io(rules.writable);
    io(rules.noexec);
    io(rules.nosuid);
    io(rules.nodev);
    io(rules.follow);
    bool owned = rules.owner.has_value();
    std::uint32_t owner = rules.owner.value_or(0);
    io(owned);
    io(owner);
    rules.owner = owned ? std::optional<uid_t>(owner) : std::nullopt;
    io(may_be_missing);
  }
};

// What is to be opened; with it comes the socket that Opened goes to.
struct OpenTrees {
  static constexpr std::uint8_t kType = 1;
  std::vector<TreeRequest> requests;
  std::vector<network::TenantLink>
      networks;                  // none, or one: it changes the process that makes it, and may block
  std::uint32_t patience_s = 0;  // nobody waits for an answer after that

  template <typename Io>
  void fields(Io &io) {
    io(requests);
    io(networks);
    io(patience_s);
  }
};

// All trees come with it (but those of `missing` requests), then the network's namespace; or `attempt` says
// what went wrong.
struct Opened {
  static constexpr std::uint8_t kType = 2;
  std::string attempt;
  std::int32_t code = 0;
  std::vector<std::uint32_t> missing;  // ascending

  template <typename Io>
  void fields(Io &io) {
    io(attempt);
    io(code);
    io(missing);
  }
};

// Opens all, says so, and ends once the other end of `answer` is closed, or a second later: the whole life of
// a child, which closes all else that it has inherited. A listening socket that a hung child holds would
// outlive its tenant.
[[noreturn]] void open_trees(const OpenTrees &order, const MessageSocket &answer);

class OpenerProcess {
 public:
  // fork(2). The child closes everything but its link, and ends when that does.
  [[nodiscard]] static Result<OpenerProcess> start();

  // Has it fork a child for open_trees(). The child is killed (SIGALRM) a second after the patience: one that
  // hangs where no signal reaches it is left to the file server. An Error: the process has gone.
  [[nodiscard]] Result<void> open(const OpenTrees &order, const MessageSocket &answer) const;

  // For a ChildWatch; once.
  [[nodiscard]] Child take_child() { return std::move(child_); }

 private:
  OpenerProcess(Child child, MessageSocket orders) : child_(std::move(child)), orders_(std::move(orders)) {}

  Child child_;
  MessageSocket orders_;
};

}  // namespace paddock::supervisor
