// Sends a gateway the packets that the input holds: {length, 2 bytes; descriptors, 1 byte; the packet}, again
// and again, each packet with a header that its body agrees with, so that the bodies' decoders are reached.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/log.h"
#include "fcgi_gateway/gateway.h"

using namespace paddock;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const bool quiet = log::setup("fuzzer", log::Level::kError).ok();
  if (!quiet) std::abort();
  auto ends = MessageSocket::pair();
  if (!ends) std::abort();
  if (!ends->first.set_nonblocking(true)) std::abort();
  // An autobound abstract socket (unix(7)): nothing to clean up.
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un anywhere{AF_UNIX, {}};
  if (::bind(listener.get(), reinterpret_cast<const sockaddr *>(&anywhere), sizeof(sa_family_t)) != 0 ||
      ::listen(listener.get(), 1) != 0)
    std::abort();

  auto gateway = fcgi_gateway::Gateway::create(std::move(ends->second));
  if (!gateway) std::abort();
  const std::vector descriptors{listener.borrow(), ends->first.fd()};
  while (size >= 4) {
    const std::size_t length =
        std::min<std::size_t>(static_cast<std::size_t>(data[0] | data[1] << 8), size - 4);
    wire::Header header;
    header.type = data[3];
    header.length = static_cast<std::uint32_t>(length);
    std::vector<std::uint8_t> packet(wire::kHeaderSize);
    std::memcpy(packet.data(), &header, sizeof header);
    packet.insert(packet.end(), data + 4, data + 4 + length);
    packet.resize(std::min(packet.size(), wire::kMaxMessage));
    const std::size_t fds = std::min<std::size_t>(data[2] & 3, descriptors.size());
    if (!ends->first.send_bytes(packet, std::span(descriptors).first(fds))) break;
    data += 4 + length;
    size -= 4 + length;
  }
  ends->first.close();
  // It must end; with a value or an error, as the input is.
  [[maybe_unused]] const auto ended = (*gateway)->run();
  return 0;
}
