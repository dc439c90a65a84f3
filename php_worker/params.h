// The params of one request as PHP wants them: NUL-terminated, at addresses that hold until the next request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace paddock::php_worker {

class Params {
 public:
  struct Entry {
    std::string_view name;  // both end in a NUL that size() does not count
    std::string_view value;
  };

  // Replaces everything by the decoded pairs. False: problem() (a NUL inside a name or value, which C strings
  // would cut). HTTP_PROXY is left out: it comes from a Proxy: header, and libraries in scripts would take it
  // for the environment variable of that name (CVE-2016-5385).
  bool decode(std::span<const std::uint8_t> encoded);
  [[nodiscard]] std::string_view problem() const { return problem_; }

  // The value, or null.
  [[nodiscard]] const char *find(std::string_view name) const;
  // The value, or "".
  [[nodiscard]] std::string_view get(std::string_view name) const;
  // Adds or replaces.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);

  [[nodiscard]] const std::vector<Entry> &entries() const { return entries_; }

 private:
  std::vector<char> text_;
  std::vector<Entry> entries_;
  std::deque<std::string> added_;
  std::string_view problem_;
};

}  // namespace paddock::php_worker
