#include "supervisor/tree_opener.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <map>
#include <utility>

namespace paddock::supervisor {
namespace {

// The children that have not been reaped yet; nobody waits for what they do. Never destroyed: at the end of
// the program their watches would outlive the loop.
std::map<pid_t, std::shared_ptr<ChildWatch>> &children() {
  static auto &all = *new std::map<pid_t, std::shared_ptr<ChildWatch>>;
  return all;
}

// clone3(2). The child's number.
Result<pid_t> open_in_child(boost::asio::io_context &io, const OpenTrees &order,
                            const MessageSocket &answer) {
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0) return errno_error("start a process that opens " + order.requests.front().path);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    // The supervisor has one thread, so that its heap is whole in here.
    open_trees(order, answer);
  }
  children()[pid] = ChildWatch::start(io, Child(pid, UniqueFd(pidfd)), [pid](const ExitStatus &) {
    const auto keep = children().extract(pid);  // the watch that is calling
  });
  return pid;
}

}  // namespace

TreeOpener::~TreeOpener() {
  if (link_) link_->close();
}

Result<std::shared_ptr<TreeOpener>> TreeOpener::start(boost::asio::io_context &io,
                                                      const OpenerProcess *process, OpenTrees order,
                                                      std::chrono::milliseconds patience) {
  PADDOCK_TRY(auto ends, MessageSocket::pair());
  order.patience_s = static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::seconds>(patience).count());
  pid_t pid = 0;  // of a child of our own
  if (process == nullptr || !process->open(order, ends.second)) {
    PADDOCK_TRY(pid, open_in_child(io, order, ends.second));
  }
  ends.second.close();

  std::shared_ptr<TreeOpener> opener(new TreeOpener(io));
  const std::weak_ptr<TreeOpener> weak = opener;
  opener->link_ = Link::start(
      io, std::move(ends.first),
      [weak, count = order.requests.size() + order.networks.size()](Packet &packet) {
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
      [weak, path = order.requests.front().path, pid, patience](const boost::system::error_code &error) {
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
