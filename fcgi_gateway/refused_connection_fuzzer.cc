// Feeds a refused connection any bytes, cut where the input says, as a client could.
// The first byte of the input is how many bytes each send carries (0: all).
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>

#include "fcgi_gateway/refused_connection.h"

using namespace paddock;
using fcgi_gateway::RefusedConnection;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const auto response =
      std::make_shared<const fcgi_gateway::Response>(fcgi_gateway::Response{"Status: 503\r\n\r\nno", "no"});
  if (size == 0) return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  UniqueFd client(ends[0]);
  RefusedConnection connection(UniqueFd(ends[1]), response, 1 << 20);
  auto wants = RefusedConnection::Wants::kRead;
  for (std::size_t at = 1; at < size && wants != RefusedConnection::Wants::kClose; at += piece) {
    const std::size_t length = std::min(piece, size - at);
    if (::send(client.get(), data + at, length, MSG_NOSIGNAL) < 0) break;
    wants = connection.advance();
  }
  client.reset();
  // With its client gone it must end, in one turn a buffer at most.
  for (int turns = 0; wants != RefusedConnection::Wants::kClose; ++turns) {
    if (turns > 64) std::abort();
    wants = connection.advance();
  }
  if (!connection.answered() && connection.problem().empty()) std::abort();
  return 0;
}
