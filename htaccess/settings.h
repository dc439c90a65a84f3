// What the .htaccess files on the way to a script say about PHP.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace paddock::htaccess {

// One ini setting: the value of php_value as written, "1" or "0" of php_flag, "" of `none` (any case).
// The name is whatever stood there: the caller skips those that PHP does not know or that only the system may
// set, as mod_php does in silence. Name and value are plain bytes without NUL or newline; they were never,
// and must not be, joined into a text that is parsed again.
struct Setting {
  std::string name;
  std::string value;

  bool operator==(const Setting &) const = default;
};

// Settings in the order in which they were first set, each name once (names are case-sensitive, as PHP's
// are).
class SettingList {
 public:
  void set(std::string_view name, std::string_view value);
  // All of `deeper`, which wins.
  void merge(const SettingList &deeper);

  [[nodiscard]] const Setting *find(std::string_view name) const;
  [[nodiscard]] const std::vector<Setting> &items() const { return items_; }
  [[nodiscard]] bool empty() const { return items_.empty(); }

 private:
  [[nodiscard]] std::size_t position(std::string_view name) const;

  std::vector<Setting> items_;
  std::unordered_map<std::string, std::size_t> index_;  // only where items_ is long
};

// Something that was skipped, for the tenant's log. Said once for each version of a file.
struct Diagnostic {
  std::string file;
  unsigned line = 0;
  std::string message;

  // "/home/alice/www/.htaccess:3: …". `message` may hold bytes of the file: escape before it is shown.
  [[nodiscard]] std::string to_string() const;
};

struct Settings {
  SettingList values;
  std::vector<Diagnostic> diagnostics;
};

}  // namespace paddock::htaccess
