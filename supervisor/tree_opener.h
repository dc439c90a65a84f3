// Opens the parts of the host that a sandbox shows, in a child: a home on a file server that does not answer,
// or an automounter that hangs, blocks whoever touches it, and the supervisor has other tenants.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/child_watch.h"
#include "supervisor/link.h"
#include "supervisor/opener_process.h"

namespace paddock::supervisor {

class TreeOpener : public std::enable_shared_from_this<TreeOpener> {
 public:
  // The trees in the order of the requests, and the network's namespace behind them, or why there are none;
  // once, never from inside start() or then().
  using OnDone = std::function<void(Result<std::vector<UniqueFd>>)>;
  static constexpr std::chrono::seconds kPatience{10};

  // process: whose child opens them; null, or gone: a child of our own.
  // Dropping the opener means that no call-back comes. A child that hangs in the kernel cannot be killed: it
  // is left, and reaped when the file server is back.
  [[nodiscard]] static Result<std::shared_ptr<TreeOpener>> start(
      boost::asio::io_context &io, const OpenerProcess *process, OpenTrees order,
      std::chrono::milliseconds patience = kPatience);
  // To be called before the handler that has called start() returns.
  void then(OnDone on_done) { on_done_ = std::move(on_done); }
  ~TreeOpener();
  TreeOpener(const TreeOpener &) = delete;
  TreeOpener &operator=(const TreeOpener &) = delete;

 private:
  explicit TreeOpener(boost::asio::io_context &io) : timer_(io) {}
  void finish(Result<std::vector<UniqueFd>> result);

  OnDone on_done_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<Link> link_;
};

}  // namespace paddock::supervisor
