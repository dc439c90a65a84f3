#include "policies/serving_section.h"

#include <algorithm>

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

}  // namespace

void read_serving(Section &section, Serving &serving) {
  if (const auto htaccess = section.boolean("htaccess")) serving.htaccess = *htaccess;
  if (const auto slow = section.duration("slow_log", std::chrono::milliseconds(0), std::chrono::hours(24)))
    serving.slow = *slow;
  read_repairs(section, serving.repairs);
  read_page(section, "status_path", serving.status_path);
  read_page(section, "ping_path", serving.ping_path);
  if (const auto response = section.text("ping_response")) {
    if (response->size() > 1024) {
      section.fail("ping_response", "too long", "at most 1024 bytes");
    } else {
      serving.ping_response = *response;
    }
  }
}

}  // namespace paddock::policies
