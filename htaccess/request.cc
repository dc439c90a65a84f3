#include "htaccess/request.h"

#include <algorithm>
#include <array>

#include "htaccess/lines.h"

namespace paddock::htaccess {
namespace {

// Variables of Apache's that are parameters of the same name, absent meaning empty.
constexpr std::array kSame = {"REQUEST_METHOD",  "QUERY_STRING", "PATH_INFO",
                              "SERVER_PROTOCOL", "SERVER_NAME",  "SERVER_PORT",
                              "REMOTE_ADDR",     "REMOTE_PORT",  "SERVER_ADMIN"};
constexpr std::array kHeaders = {"HTTP_USER_AGENT", "HTTP_PROXY_CONNECTION", "HTTP_REFERER",
                                 "HTTP_COOKIE",     "HTTP_FORWARDED",        "HTTP_HOST",
                                 "HTTP_ACCEPT"};

template <std::size_t N>
bool holds(const std::array<const char *, N> &names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::optional<std::string> RequestView::parameter(std::string_view name) const {
  if (!request.parameter) return std::nullopt;
  const auto value = request.parameter(name);
  return value ? std::optional<std::string>(*value) : std::nullopt;
}

std::optional<std::string> RequestView::variable(std::string_view name) const {
  if (holds(kSame, name) || holds(kHeaders, name)) return parameter(name).value_or("");
  if (name == "HTTPS") return parameter(name).value_or("off") == "on" ? "on" : "off";
  if (name == "REQUEST_SCHEME") {
    if (auto scheme = parameter(name)) return scheme;
    return parameter("HTTPS").value_or("off") == "on" ? "https" : "http";
  }
  // Apache's is the path of the request as it was mapped, decoded and without the query; the parameter
  // REQUEST_URI is the raw one of the request line.
  if (name == "REQUEST_URI" || name == "DOCUMENT_URI")
    return parameter("SCRIPT_NAME").value_or("") + parameter("PATH_INFO").value_or("");
  if (name == "REQUEST_FILENAME" || name == "SCRIPT_FILENAME") return std::string(script);
  if (name == "DOCUMENT_ROOT") return std::string(document_root);
  if (name == "THE_REQUEST") {
    const auto method = parameter("REQUEST_METHOD");
    const auto uri = parameter("REQUEST_URI");
    const auto protocol = parameter("SERVER_PROTOCOL");
    if (method && uri && protocol) return *method + " " + *uri + " " + *protocol;
  }
  return std::nullopt;
}

std::optional<std::string> RequestView::header(std::string_view name) const {
  // Never passed on as HTTP_*: ap_add_common_vars() leaves credentials out.
  if (equal_ignoring_case(name, "Authorization") || equal_ignoring_case(name, "Proxy-Authorization") ||
      equal_ignoring_case(name, "Proxy"))
    return std::nullopt;
  std::string key(name);
  for (char &c : key) {
    if (c >= 'a' && c <= 'z')
      c = static_cast<char>(c - 'a' + 'A');
    else if (c == '-')
      c = '_';
  }
  if (key != "CONTENT_TYPE" && key != "CONTENT_LENGTH") key.insert(0, "HTTP_");
  return parameter(key).value_or("");
}

}  // namespace paddock::htaccess
