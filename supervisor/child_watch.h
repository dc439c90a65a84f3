// Calls back when a child process has ended, and reaps it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>

#include "base/process.h"

namespace paddock::supervisor {

class ChildWatch : public std::enable_shared_from_this<ChildWatch> {
 public:
  using OnExit = std::function<void(const ExitStatus &)>;

  // child: one of this process's own children.
  [[nodiscard]] static std::shared_ptr<ChildWatch> start(boost::asio::io_context &io, Child child,
                                                         OnExit on_exit);
  ~ChildWatch();
  ChildWatch(const ChildWatch &) = delete;
  ChildWatch &operator=(const ChildWatch &) = delete;

  [[nodiscard]] const Child &child() const { return child_; }

 private:
  ChildWatch(boost::asio::io_context &io, Child child, OnExit on_exit);
  void wait();

  Child child_;
  boost::asio::posix::stream_descriptor descriptor_;
  OnExit on_exit_;
};

}  // namespace paddock::supervisor
