// What a peer sends, cut into reads in many ways: every way must tell the same story.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "protocols/fastcgi/params.h"
#include "protocols/fastcgi/request_assembler.h"

namespace {

using paddock::fastcgi::ParamsDecoder;
using paddock::fastcgi::RequestAssembler;

void append(std::string &story, std::span<const std::uint8_t> bytes) {
  story.append(reinterpret_cast<const char *>(bytes.data()), bytes.size());
}

// Everything that comes out, the body's pieces joined.
std::string tell(std::span<const std::uint8_t> input, std::size_t first_cut, std::size_t piece) {
  using Event = RequestAssembler::Event;
  paddock::fastcgi::Limits limits;
  limits.params_bytes = 4096;
  limits.params_count = 64;
  RequestAssembler assembler(limits, {4, 4});
  std::string story;
  std::size_t size = first_cut;
  while (!input.empty()) {
    auto part = input.first(size < input.size() ? size : input.size());
    input = input.subspan(part.size());
    size = piece;
    for (Event event = assembler.next(part); event != Event::kNeedMore; event = assembler.next(part)) {
      if (event == Event::kStdin) {
        append(story, assembler.data());
        continue;
      }
      story += "|" + std::to_string(static_cast<int>(event));
      append(story, assembler.data());
      if (event == Event::kError) return story.append(assembler.error());
      if (event == Event::kParamsComplete) {
        std::string_view name;
        std::string_view value;
        ParamsDecoder decoder(assembler.params());
        while (decoder.next(name, value)) story.append(name).append("=").append(value);
        if (decoder.malformed()) std::abort();
      }
      if (event == Event::kStdinEnd && assembler.keep_connection()) assembler.finish_request();
    }
    if (!part.empty()) std::abort();
  }
  return story;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::span<const std::uint8_t> input(data, size);
  const std::string whole = tell(input, size, size);
  if (tell(input, 1, 1) != whole) std::abort();
  // Every place for one cut; long inputs at some of them, so that a run stays quick.
  const std::size_t step = size / 512 + 1;
  for (std::size_t cut = 1; cut < size; cut += step)
    if (tell(input, cut, size) != whole) std::abort();
  return 0;
}
