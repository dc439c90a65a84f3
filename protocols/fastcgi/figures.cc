#include "protocols/fastcgi/figures.h"

#include <endian.h>

#include <cstring>

#include "protocols/fastcgi/record.h"

namespace paddock::fastcgi {

std::array<std::uint8_t, kFiguresSize> format_figures(std::uint16_t request_id, const Figures &figures) {
  std::array<std::uint8_t, kFiguresSize> out{};
  const HeaderBytes header = format_header(Type{kFigures}, request_id, kFiguresContent);
  std::memcpy(out.data(), header.data(), header.size());
  std::size_t at = header.size();
  for (const std::uint64_t number :
       {figures.begun_ns, figures.ended_ns, figures.cpu_ns, figures.peak_memory, figures.compiled}) {
    const std::uint64_t sent = htobe64(number);
    std::memcpy(out.data() + at, &sent, sizeof sent);
    at += sizeof sent;
  }
  return out;
}

std::optional<Figures> parse_figures(std::span<const std::uint8_t> content) {
  if (content.size() != kFiguresContent) return std::nullopt;
  Figures figures;
  for (std::uint64_t *number :
       {&figures.begun_ns, &figures.ended_ns, &figures.cpu_ns, &figures.peak_memory, &figures.compiled}) {
    std::uint64_t received = 0;
    std::memcpy(&received, content.data(), sizeof received);
    *number = be64toh(received);
    content = content.subspan(sizeof received);
  }
  return figures;
}

}  // namespace paddock::fastcgi
