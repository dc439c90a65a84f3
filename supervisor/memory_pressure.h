// Tells when the host is short of memory, as the kernel measures it: tasks that wait for memory to be
// reclaimed (PSI, Documentation/accounting/psi.rst).
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>

#include "base/result.h"

namespace paddock::supervisor {

class MemoryPressure {
 public:
  // on_pressure: some task has stalled for kStall within kWindow; once a window at most. An Error: this
  // kernel has no PSI, or it is switched off (Debian's wants psi=1 on its command line).
  static constexpr int kStallUs = 150'000;
  static constexpr int kWindowUs = 2'000'000;
  [[nodiscard]] static Result<std::unique_ptr<MemoryPressure>> watch(boost::asio::io_context &io,
                                                                     std::function<void()> on_pressure);

 private:
  MemoryPressure(boost::asio::posix::stream_descriptor file, std::function<void()> on_pressure)
      : file_(std::move(file)), on_pressure_(std::move(on_pressure)) {}
  void wait();

  boost::asio::posix::stream_descriptor file_;
  std::function<void()> on_pressure_;
};

}  // namespace paddock::supervisor
