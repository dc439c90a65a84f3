#include "policies/serving_section.h"

#include <algorithm>
#include <string>

namespace paddock::policies {
namespace {

void read_repairs(Section &section, std::uint32_t &repairs) {
  const auto named = section.texts("repair");
  if (!named) return;
  std::string all;
  for (const std::string_view name : kRepairs) all += (all.empty() ? "" : ", ") + std::string(name);
  repairs = 0;
  for (const auto &[name, where] : *named) {
    const auto found = std::find(kRepairs.begin(), kRepairs.end(), name);
    if (found == kRepairs.end()) {
      section.fail_at(where, "repair", "unknown", "some of " + all, "\"" + name + "\"");
    } else {
      repairs |= 1U << (found - kRepairs.begin());
    }
  }
}

// As the web server sends SCRIPT_NAME.
void read_page(Section &section, std::string_view key, std::string &to) {
  const auto path = section.text(key);
  if (!path) return;
  const bool plain = std::all_of(path->begin(), path->end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!path->empty() && (path->front() != '/' || path->size() > 255 || !plain)) {
    section.fail(key, "not the path of a URL", "one that begins with /, or \"\"");
  } else {
    to = *path;
  }
}

constexpr std::size_t kLongestFormat = 1024;

// What PHP-FPM 8.2 knows (access.format).
std::string wrong_with_format(std::string_view format) {
  for (std::size_t at = format.find('%'); at != std::string_view::npos; at = format.find('%', at)) {
    ++at;
    std::string_view argument;
    if (at < format.size() && format[at] == '{') {
      const std::size_t end = format.find('}', at);
      if (end == std::string_view::npos) return "a brace is not closed";
      argument = format.substr(at + 1, end - at - 1);
      at = end + 1;
    }
    if (at >= format.size()) return "ends in the middle of a %";
    const char code = format[at++];
    if (std::string_view("CdeflmMnopPqQrRstTu%").find(code) == std::string_view::npos)
      return std::string("%") + code + " means nothing";
    if (argument.empty() && (code == 'e' || code == 'o'))
      return std::string("%") + code + " needs a name: %{NAME}" + code;
  }
  return {};
}

void read_access_log(Section &section, Serving &serving) {
  if (const auto kept = section.boolean("access_log")) serving.access_log = *kept;
  if (const auto format = section.text("access_format")) {
    const std::string wrong = wrong_with_format(*format);
    if (format->empty() || format->size() > kLongestFormat) {
      section.fail("access_format", "empty, or too long",
                   "1 to " + std::to_string(kLongestFormat) + " bytes");
    } else if (!wrong.empty()) {
      section.fail("access_format", wrong, "PHP-FPM's access.format");
    } else {
      serving.access_format = *format;
    }
  }
  if (const auto paths = section.texts("access_suppress")) {
    serving.access_suppress.clear();
    for (const auto &[path, where] : *paths) {
      if (path.starts_with('/'))
        serving.access_suppress.push_back(path);
      else
        section.fail_at(where, "access_suppress", "not the path of a URL", "one that begins with /");
    }
  }
}

}  // namespace

void read_serving(Section &section, Serving &serving) {
  if (const auto htaccess = section.boolean("htaccess")) serving.htaccess = *htaccess;
  if (const auto slow = section.duration("slow_log", std::chrono::milliseconds(0), std::chrono::hours(24)))
    serving.slow = *slow;
  read_repairs(section, serving.repairs);
  read_page(section, "status_path", serving.status_path);
  read_page(section, "ping_path", serving.ping_path);
  read_access_log(section, serving);
  if (const auto response = section.text("ping_response")) {
    if (response->size() > 1024) {
      section.fail("ping_response", "too long", "at most 1024 bytes");
    } else {
      serving.ping_response = *response;
    }
  }
}

}  // namespace paddock::policies
