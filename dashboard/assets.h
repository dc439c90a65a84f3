// The pages, which are part of the program: made by frontend/ at build time.
#pragma once

#include <span>
#include <string_view>

namespace paddock::dashboard {

struct Asset {
  std::string_view path;  // "/index.html", "/assets/index-3f9c.js"
  std::string_view content_type;
  std::string_view content;
};
[[nodiscard]] std::span<const Asset> assets();

}  // namespace paddock::dashboard
