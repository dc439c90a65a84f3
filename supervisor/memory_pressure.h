// Tells when the host is short of memory, as the kernel measures it: tasks wait for memory to be reclaimed
// (PSI, Documentation/accounting/psi.rst), and little is available (MemAvailable, proc_meminfo(5)). Tasks
// wait where a tenant is at a limit of its own as well, and that is nobody else's concern.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"

namespace paddock::supervisor {

class MemoryPressure {
 public:
  // on_pressure: some task has stalled for kStallUs within kWindowUs, and less than one in kScarce bytes of
  // the host's memory is available; once a window at most. An Error: this kernel has no PSI, or it is
  // switched off (Debian's wants psi=1 on its command line).
  static constexpr int kStallUs = 150'000;
  static constexpr int kWindowUs = 2'000'000;
  static constexpr std::uint64_t kScarce = 8;
  [[nodiscard]] static Result<std::unique_ptr<MemoryPressure>> watch(boost::asio::io_context &io,
                                                                     std::function<void()> on_pressure);

 private:
  MemoryPressure(boost::asio::posix::stream_descriptor file, std::function<void()> on_pressure)
      : file_(std::move(file)), on_pressure_(std::move(on_pressure)) {}
  void wait();
  [[nodiscard]] static bool memory_is_scarce();

  boost::asio::posix::stream_descriptor file_;
  std::function<void()> on_pressure_;
};

}  // namespace paddock::supervisor
