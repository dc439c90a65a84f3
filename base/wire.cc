#include "base/wire.h"

namespace paddock::wire {

Result<Header> decode_header(std::span<const std::uint8_t> packet) {
  if (packet.size() < kHeaderSize)
    return Error{"decode message: " + std::to_string(packet.size()) + " bytes are no header"};
  Header header;
  std::memcpy(&header, packet.data(), sizeof header);
  if (header.magic != kMagic) return Error{"decode message: wrong magic"};
  if (header.version != kVersion)
    return Error{"decode message: version " + std::to_string(header.version) + " where " +
                 std::to_string(kVersion) + " was expected"};
  if (header.length != packet.size() - kHeaderSize)
    return Error{"decode message: length says " + std::to_string(header.length) + ", packet has " +
                 std::to_string(packet.size() - kHeaderSize)};
  return header;
}

}  // namespace paddock::wire
