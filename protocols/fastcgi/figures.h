// What a request took, as PHP's side tells it: FastCGI's other record of our own, kFigures, from the worker
// to the web server's module, before END_REQUEST. Only who has sent settings (settings.h) gets it.
//
// A tenant's process writes it: readers bound the times by their own clock and believe nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace paddock::fastcgi {

inline constexpr std::uint8_t kFigures = 65;

struct Figures {
  std::uint64_t begun_ns = 0;     // CLOCK_MONOTONIC when the worker had the request and began with it
  std::uint64_t ended_ns = 0;     // ... and when the answer was complete
  std::uint64_t cpu_ns = 0;       // of the worker's process, between the two
  std::uint64_t peak_memory = 0;  // bytes that PHP's memory manager has had in use at once
  std::uint64_t compiled = 0;     // files that were compiled since they were not in the opcode cache
};

inline constexpr std::size_t kFiguresContent = 5 * 8;
// The record, header included. Numbers are in network byte order.
inline constexpr std::size_t kFiguresSize = 8 + kFiguresContent;
[[nodiscard]] std::array<std::uint8_t, kFiguresSize> format_figures(std::uint16_t request_id,
                                                                    const Figures &figures);
// Nothing: the content has another length.
[[nodiscard]] std::optional<Figures> parse_figures(std::span<const std::uint8_t> content);

}  // namespace paddock::fastcgi
