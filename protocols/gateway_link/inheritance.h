// What a gateway that has ended leaves to the next one: connections that it held, over a MessageSocket whose
// ends paddockd keeps, from the guardian (fcgi_gateway/guardian.h) to whichever gateway comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace paddock::gateway_link {

// A request that no worker has. Descriptors: the connection, then files with what has been received of it, in
// their order; none: nothing has been.
struct HeldRequest {
  static constexpr std::uint8_t kType = 1;
  static constexpr std::size_t kMostParts = 3;
  std::string tenant;  // its name: the next supervisor has other numbers

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
  }
};

// An answer that has not been taken. Descriptors: the connection, and the file that handoff::Unread came
// with.
struct HeldAnswer {
  static constexpr std::uint8_t kType = 2;
  std::string tenant;
  std::uint64_t offset = 0;
  bool request_over = false;

  template <typename Io>
  void fields(Io &io) {
    io(tenant);
    io(offset);
    io(request_over);
  }
};

}  // namespace paddock::gateway_link
