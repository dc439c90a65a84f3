#include "supervisor/memory_pressure.h"

#include <fcntl.h>
#include <unistd.h>

#include <sstream>
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

bool MemoryPressure::memory_is_scarce() {
  const auto text = read_file("/proc/meminfo");
  if (!text) return false;
  std::istringstream lines(*text);
  std::uint64_t total = 0;
  std::uint64_t available = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t size = 0;  // kB
    words >> name >> size;
    if (name == "MemTotal:") total = size;
    if (name == "MemAvailable:") available = size;
  }
  return total > 0 && available < total / kScarce;
}

void MemoryPressure::wait() {
  // The trigger's event is POLLPRI.
  file_.async_wait(boost::asio::posix::stream_descriptor::wait_error,
                   [this](const boost::system::error_code &error) {
                     if (error) return;
                     if (memory_is_scarce()) on_pressure_();
                     wait();
                   });
}

}  // namespace paddock::supervisor
