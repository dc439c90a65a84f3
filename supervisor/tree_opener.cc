#include "supervisor/tree_opener.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "base/log.h"

namespace paddock::supervisor {
namespace {

// What the child says: all trees come with it (but those of `missing` requests), or `attempt` says what went
// wrong.
struct Opened {
  static constexpr std::uint8_t kType = 1;
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

[[noreturn]] void open_all(const std::vector<TreeRequest> &requests, const TreeOpener::Also &also,
                           const MessageSocket &socket) {
  std::vector<UniqueFd> trees;
  Opened opened;
  for (std::uint32_t i = 0; i < requests.size(); ++i) {
    auto tree = sandbox::open_detached_tree(requests[i].path, requests[i].rules);
    if (!tree && tree.error().code == ENOENT && requests[i].may_be_missing) {
      opened.missing.push_back(i);
      continue;
    }
    if (!tree) {
      opened = {tree.error().attempt, tree.error().code, {}};
      trees.clear();
      break;
    }
    trees.push_back(std::move(*tree));
  }
  if (opened.attempt.empty() && also) {
    if (auto more = also()) {
      trees.push_back(std::move(*more));
    } else {
      opened = {more.error().attempt, more.error().code};
      trees.clear();
    }
  }
  const std::vector<BorrowedFd> fds(trees.begin(), trees.end());
  ::_exit(socket.send(opened, fds) ? 0 : 1);
}

// The children that have not been reaped yet; nobody waits for what they do. Never destroyed: at the end of
// the program their watches would outlive the loop.
std::map<pid_t, std::shared_ptr<ChildWatch>> &children() {
  static auto &all = *new std::map<pid_t, std::shared_ptr<ChildWatch>>;
  return all;
}

}  // namespace

TreeOpener::TreeOpener(boost::asio::io_context &io, OnDone on_done)
    : on_done_(std::move(on_done)), timer_(io) {}

TreeOpener::~TreeOpener() {
  if (link_) link_->close();
}

Result<std::shared_ptr<TreeOpener>> TreeOpener::start(boost::asio::io_context &io,
                                                      const std::vector<TreeRequest> &requests,
                                                      OnDone on_done, std::chrono::milliseconds patience,
                                                      const Also &also) {
  const std::string attempt = "start a process that opens " + requests.front().path;
  auto ends = MessageSocket::pair();
  if (!ends) return ends.error();
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0) return errno_error(attempt);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    // The supervisor has one thread, so that its heap is whole in here. All else of it is to be forgotten: a
    // listening socket that a hung child holds would outlive its tenant.
    const int ours = ends->second.fd().get();
    if (ours > 3) ::close_range(3, static_cast<unsigned>(ours) - 1, 0);
    ::close_range(static_cast<unsigned>(ours) + 1, ~0U, 0);
    open_all(requests, also, ends->second);
  }
  children()[pid] = ChildWatch::start(io, Child(pid, UniqueFd(pidfd)), [pid](const ExitStatus &) {
    const auto keep = children().extract(pid);  // the watch that is calling
  });

  std::shared_ptr<TreeOpener> opener(new TreeOpener(io, std::move(on_done)));
  const std::weak_ptr<TreeOpener> weak = opener;
  opener->link_ = Link::start(
      io, std::move(ends->first),
      [weak, count = requests.size() + (also ? 1 : 0)](Packet &packet) {
        const auto self = weak.lock();
        if (!self) return;
        const auto opened = packet.as<Opened>();
        if (!opened) return self->finish(opened.error());
        if (!opened->attempt.empty()) return self->finish(Error{opened->attempt, opened->code});
        if (packet.fds.size() + opened->missing.size() != count)
          return self->finish(Error{"trees are missing"});
        auto trees = std::move(packet.fds);
        for (const std::uint32_t place : opened->missing) {
          if (place > trees.size()) return self->finish(Error{"trees are missing"});
          trees.emplace(trees.begin() + place);
        }
        self->finish(std::move(trees));
      },
      [weak](const Error &) {
        if (const auto self = weak.lock()) self->finish(Error{"the process that opens homes has ended"});
      });
  opener->timer_.expires_after(patience);
  opener->timer_.async_wait(
      [weak, path = requests.front().path, pid, patience](const boost::system::error_code &error) {
        const auto self = weak.lock();
        if (error || !self) return;
        if (const auto child = children().find(pid); child != children().end()) [[maybe_unused]]
          const auto killed = child->second->child().signal(SIGKILL);
        self->finish(errno_error("open " + path + " and what is bound: no answer within " +
                                     std::to_string(patience.count()) + " ms; is its file server up?",
                                 ETIMEDOUT));
      });
  return opener;
}

void TreeOpener::finish(Result<std::vector<UniqueFd>> result) {
  if (!on_done_) return;
  const auto keep = shared_from_this();
  timer_.cancel();
  link_->close();
  std::exchange(on_done_, nullptr)(std::move(result));
}

}  // namespace paddock::supervisor
