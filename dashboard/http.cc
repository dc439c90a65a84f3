#include "dashboard/http.h"

#include <optional>

#include "dashboard/page_json.h"

namespace paddock::dashboard {
namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decoded(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return std::nullopt;
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    }
  }
  return out;
}

// Calls take(part) for the parts of a text between separators.
template <typename Take>
void each_part(std::string_view text, char separator, Take take) {
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    take(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
}

}  // namespace

HttpResponse error_response(unsigned status, std::string_view code, std::string_view message) {
  HttpResponse response;
  response.status = status;
  response.body = error_json(code, message);
  return response;
}

Result<void> split_target(std::string_view target, HttpRequest &request) {
  if (target.empty() || target.front() != '/') return Error{"the target must be a path"};
  const std::size_t mark = target.find('?');
  const auto path = decoded(target.substr(0, mark), false);
  if (!path || path->find('\0') != std::string::npos)
    return Error{"expected %XX, two hexadecimal digits, in the path"};
  request.path = *path;
  if (mark == std::string_view::npos) return {};
  bool good = true;
  each_part(target.substr(mark + 1), '&', [&](std::string_view part) {
    const std::size_t equals = part.find('=');
    const auto key = decoded(part.substr(0, equals), true);
    const auto value =
        decoded(equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1), true);
    good = good && key && value && request.query.emplace(*key, *value).second;
  });
  if (!good) return Error{"expected key=value&key=value, each key once, %XX for other characters"};
  return {};
}

std::map<std::string, std::string> parse_cookies(std::string_view header) {
  std::map<std::string, std::string> cookies;
  each_part(header, ';', [&](std::string_view part) {
    while (part.starts_with(' ')) part.remove_prefix(1);
    const std::size_t equals = part.find('=');
    if (equals != std::string_view::npos) cookies.emplace(part.substr(0, equals), part.substr(equals + 1));
  });
  return cookies;
}

}  // namespace paddock::dashboard
