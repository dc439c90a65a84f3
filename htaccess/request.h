// The request that <If> sections are decided for.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace paddock::htaccess {

struct Request {
  // A FastCGI parameter of the request (REQUEST_METHOD, HTTP_HOST, …) as the web server sent it, after
  // whatever repair of the environment the caller does; nullopt: not among them. Called only where an <If>
  // asks.
  std::function<std::optional<std::string_view>(std::string_view name)> parameter;
};

// The same with the two paths that %{REQUEST_FILENAME} and %{DOCUMENT_ROOT} stand for.
struct RequestView {
  const Request &request;
  std::string_view script;
  std::string_view document_root;

  // The value of Apache's %{name}. nullopt: Apache knows it when it decides the section and we cannot
  // (REMOTE_USER, which is set later, TIME, variables of modules, …).
  [[nodiscard]] std::optional<std::string> variable(std::string_view name) const;
  // The value of the request header, "" where it was not sent. nullopt: a web server does not pass it on.
  [[nodiscard]] std::optional<std::string> header(std::string_view name) const;

 private:
  [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const;
};

}  // namespace paddock::htaccess
