#include "supervisor/memory_pressure.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "base/file.h"

namespace paddock::supervisor {

Result<std::unique_ptr<MemoryPressure>> MemoryPressure::watch(boost::asio::io_context &io,
                                                              std::function<void()> on_pressure) {
  const std::string path = "/proc/pressure/memory";
  PADDOCK_TRY(UniqueFd file, open_file(path, O_RDWR | O_NONBLOCK));
  const std::string trigger = "some " + std::to_string(kStallUs) + " " + std::to_string(kWindowUs);
  // With its NUL, as the kernel's own example has it.
  if (::write(file.get(), trigger.c_str(), trigger.size() + 1) < 0)
    return errno_error("ask " + path + " for \"" + trigger + "\"");
  std::unique_ptr<MemoryPressure> watched(
      new MemoryPressure(boost::asio::posix::stream_descriptor(io, file.release()), std::move(on_pressure)));
  watched->wait();
  return watched;
}

void MemoryPressure::wait() {
  // The trigger's event is POLLPRI.
  file_.async_wait(boost::asio::posix::stream_descriptor::wait_error,
                   [this](const boost::system::error_code &error) {
                     if (error) return;
                     on_pressure_();
                     wait();
                   });
}

}  // namespace paddock::supervisor
