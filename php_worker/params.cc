#include "php_worker/params.h"

#include <algorithm>
#include <cstring>

#include "protocols/fastcgi/params.h"

namespace paddock::php_worker {

bool Params::decode(std::span<const std::uint8_t> encoded) {
  entries_.clear();
  added_.clear();
  problem_ = {};
  // A pair has at least two bytes of lengths on the wire and exactly two NULs here.
  if (text_.size() < encoded.size()) text_.resize(encoded.size());
  char *at = text_.data();
  const auto place = [&at](std::string_view text) {
    std::memcpy(at, text.data(), text.size());
    at[text.size()] = '\0';
    const std::string_view placed(at, text.size());
    at += text.size() + 1;
    return placed;
  };
  fastcgi::ParamsDecoder decoder(encoded);
  std::string_view name;
  std::string_view value;
  while (decoder.next(name, value)) {
    if (name.find('\0') != std::string_view::npos || value.find('\0') != std::string_view::npos) {
      problem_ = "a param holds a NUL byte";
      return false;
    }
    if (name.empty() || name == "HTTP_PROXY") continue;
    const std::string_view placed = place(name);
    entries_.push_back({placed, place(value)});
  }
  if (decoder.malformed()) problem_ = "malformed params";
  return problem_.empty();
}

const char *Params::find(std::string_view name) const {
  for (const Entry &entry : entries_)
    if (entry.name == name) return entry.value.data();
  return nullptr;
}

std::string_view Params::get(std::string_view name) const {
  for (const Entry &entry : entries_)
    if (entry.name == name) return entry.value;
  return "";
}

void Params::set(std::string_view name, std::string_view value) {
  const std::string_view kept = added_.emplace_back(value);
  for (Entry &entry : entries_) {
    if (entry.name == name) {
      entry.value = kept;
      return;
    }
  }
  entries_.push_back({added_.emplace_back(name), kept});
}

void Params::remove(std::string_view name) {
  std::erase_if(entries_, [name](const Entry &entry) { return entry.name == name; });
}

}  // namespace paddock::php_worker
