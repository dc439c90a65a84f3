// A slow request as a sandbox may send it: what a worker has received, a part, and bytes on the connection.
// The first byte says how the input is divided. It must end when its client goes, and leave nothing counted.
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "base/log.h"
#include "fcgi_gateway/slow_requests.h"
#include "protocols/handoff/handoff.h"

using namespace paddock;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const bool quiet = log::setup("fuzzer", log::Level::kError).ok();
  if (!quiet) std::abort();
  if (size < 2) return 0;
  const std::size_t received = std::min<std::size_t>(size - 2, data[0] * std::size_t{8});
  const std::size_t part = std::min<std::size_t>(size - 2 - received, data[1] * std::size_t{8});
  const auto *text = reinterpret_cast<const char *>(data + 2);

  auto loop = EventLoop::create();
  if (!loop) std::abort();
  fcgi_gateway::Figures figures(*loop, std::chrono::seconds(1),
                                {[](const gateway_link::Refused &) { return true; },
                                 [](const gateway_link::Waiting &waiting) {
                                   if (waiting.slow > 4) std::abort();
                                   return true;
                                 }});
  fcgi_gateway::Refuser refuser(*loop, {}, figures);
  auto ledger = fcgi_gateway::Ledger::create(256);
  if (!ledger) std::abort();
  fcgi_gateway::SlowRequests slow(*loop, figures, refuser, *ledger, fcgi_gateway::Spool(), 4,
                                  [](std::uint32_t, const fcgi_gateway::WaitingRequest &request) {
                                    if (request.received.empty() && request.parts.empty()) std::abort();
                                  });
  static const auto no =
      std::make_shared<const fcgi_gateway::Response>(fcgi_gateway::Response{"Status: 503\r\n\r\nno", "no"});
  slow.set_terms(1, "fuzz",
                 {.connections = 2,
                  .time = std::chrono::seconds(60),
                  .header_bytes = 1 << 12,
                  .body_bytes = 1 << 16,
                  .spool_bytes = 1 << 18,
                  .too_many = no,
                  .too_late = no,
                  .too_long = no,
                  .too_large = no,
                  .no_space = no});

  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  UniqueFd client(ends[0]);
  UniqueFd file;
  if (part > 0) {
    file = UniqueFd(::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (::write(file.get(), text + received, part) != static_cast<ssize_t>(part)) std::abort();
    if (!handoff::seal(file)) std::abort();
  }
  slow.collect(1, UniqueFd(ends[1]), std::string(text, received), std::move(file));
  const std::size_t rest = size - 2 - received - part;
  [[maybe_unused]] const ssize_t sent = ::send(client.get(), text + received + part, rest, MSG_NOSIGNAL);
  for (int turn = 0; turn < 8; ++turn)
    if (!loop->run_once(std::chrono::milliseconds(0))) std::abort();
  client.reset();
  for (int turn = 0; slow.connections() + refuser.connections() > 0; ++turn) {
    if (turn > 64 || !loop->run_once(std::chrono::milliseconds(10))) std::abort();
  }
  return 0;
}
