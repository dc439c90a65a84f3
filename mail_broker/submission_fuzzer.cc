// A message as a hostile sandbox sends it: packets of arbitrary bytes. What becomes a message for the MTA
// begins with our stamp, names plain addresses only, and holds no NUL and no carriage return.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "mail_broker/submission.h"
#include "protocols/mail/address.h"

namespace {

using namespace paddock;

// The first byte says of what type a packet is, the next two how long its body.
std::vector<Packet> packets_of(const std::uint8_t *data, std::size_t size) {
  std::vector<Packet> packets;
  while (size >= 3) {
    const std::uint8_t kind = data[0];
    const std::size_t length = std::min<std::size_t>(data[1] | data[2] << 8, size - 3);
    const std::string text(reinterpret_cast<const char *>(data + 3), length);
    data += 3 + length;
    size -= 3 + length;
    Packet packet;
    if (kind % 4 == 0) {
      packet.bytes =
          wire::encode(mail::Begin{(kind & 4) != 0, (kind & 8) != 0 ? text : std::string(), {text}});
      if ((kind & 16) != 0) packet.bytes = wire::encode(mail::Begin{true, {}, {}});
    } else if (kind % 4 == 1) {
      packet.bytes = wire::encode(mail::Part{text});
    } else if (kind % 4 == 2) {
      packet.bytes = wire::encode(mail::End{});
    } else {
      packet.bytes.assign(text.begin(), text.end());
    }
    packets.push_back(std::move(packet));
  }
  return packets;
}

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  mail_broker::Submission submission({"alice", 1 << 16, 10, true},
                                     UniqueFd(::memfd_create("fuzz", MFD_CLOEXEC)));
  for (const auto &packet : packets_of(data, size)) {
    const auto progress = submission.take(packet);
    if (std::holds_alternative<mail_broker::Submission::Refusal>(progress)) return 0;
    if (!std::get<bool>(progress)) continue;
    const std::string text = read_all(submission.file()).value();
    require(text.starts_with("X-Paddock-Tenant: alice\n"));
    require(text.find("\nX-Paddock-") == std::string::npos || text.find("\n\n") < text.find("\nX-Paddock-"));
    require(text.find('\r') == std::string::npos && text.find('\0') == std::string::npos);
    require(!submission.recipients().empty() && submission.recipients().size() <= 10);
    for (const auto &recipient : submission.recipients()) require(mail::is_plain_address(recipient));
    require(submission.sender().empty() || mail::is_plain_address(submission.sender()));
    return 0;
  }
  return 0;
}
