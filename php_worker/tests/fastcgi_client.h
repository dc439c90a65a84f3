// A small FastCGI client for tests: one request a connection, over a Unix socket, every wait bounded.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "protocols/fastcgi/params.h"
#include "protocols/fastcgi/record.h"

namespace paddock::php_worker::testing {

inline UniqueFd connect_to(const std::string &path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0)
    throw std::runtime_error("connect to " + path + ": " + std::strerror(errno));
  const timeval limit{60, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return fd;
}

inline bool send_all(BorrowedFd fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// To the end of the stream; throws when the peer is silent for the receive timeout.
inline std::string receive_all(BorrowedFd fd) {
  std::string all;
  char bytes[65536];
  for (;;) {
    const ssize_t got = ::recv(fd.get(), bytes, sizeof bytes, 0);
    if (got == 0) return all;
    if (got < 0) {
      if (errno == ECONNRESET) return all;
      throw std::runtime_error(std::string("receive: ") + std::strerror(errno));
    }
    all.append(bytes, static_cast<std::size_t>(got));
  }
}

using ParamList = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string script;
  std::string method = "GET";
  std::string body;
  ParamList params;            // beside the usual ones; the same name replaces
  bool content_length = true;  // told, where there is a body
  std::uint8_t flags = 0;

  [[nodiscard]] std::map<std::string, std::string> all_params() const {
    std::map<std::string, std::string> all = {
        {"REQUEST_METHOD", method},
        {"SCRIPT_FILENAME", script},
        {"SCRIPT_NAME", script.substr(script.rfind('/'))},
        {"REQUEST_URI", script.substr(script.rfind('/'))},
        {"QUERY_STRING", ""},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
    };
    if (!body.empty() && content_length) all["CONTENT_LENGTH"] = std::to_string(body.size());
    for (const auto &[name, value] : params) all[name] = value;
    return all;
  }

  // Everything up to the end of the params.
  [[nodiscard]] std::string head() const {
    std::string pairs;
    for (const auto &[name, value] : all_params()) fastcgi::append_param(pairs, name, value);
    std::string wire;
    fastcgi::append_begin_request(wire, 1, fastcgi::Role::kResponder, flags);
    fastcgi::append_record(wire, fastcgi::Type::kParams, 1, pairs);
    fastcgi::append_record(wire, fastcgi::Type::kParams, 1, {});
    return wire;
  }

  [[nodiscard]] std::string wire() const {
    std::string all = head();
    if (!body.empty()) fastcgi::append_record(all, fastcgi::Type::kStdin, 1, body);
    fastcgi::append_record(all, fastcgi::Type::kStdin, 1, {});
    return all;
  }
};

struct Response {
  std::string status = "200";
  std::multimap<std::string, std::string> headers;
  std::string body;
  std::string errors;                           // FCGI_STDERR
  std::optional<std::uint8_t> protocol_status;  // END_REQUEST came
  std::vector<std::uint8_t> other_records;      // types

  [[nodiscard]] std::string header(const std::string &name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

inline Response parse_response(const std::string &bytes) {
  Response response;
  std::string output;
  std::string end;
  fastcgi::RecordReader reader;
  fastcgi::Fragment fragment;
  std::span<const std::uint8_t> rest(reinterpret_cast<const std::uint8_t *>(bytes.data()), bytes.size());
  while (reader.next(rest, fragment)) {
    const std::string_view content(reinterpret_cast<const char *>(fragment.content.data()),
                                   fragment.content.size());
    switch (static_cast<fastcgi::Type>(fragment.header.type)) {
      case fastcgi::Type::kStdout:
        output += content;
        break;
      case fastcgi::Type::kStderr:
        response.errors += content;
        break;
      case fastcgi::Type::kEndRequest:
        end += content;
        if (fragment.last && end.size() == 8) response.protocol_status = static_cast<std::uint8_t>(end[4]);
        break;
      default:
        if (fragment.first) response.other_records.push_back(fragment.header.type);
    }
  }
  const auto split = output.find("\r\n\r\n");
  if (split == std::string::npos) return response;
  response.body = output.substr(split + 4);
  std::string_view lines = std::string_view(output).substr(0, split + 2);
  while (!lines.empty()) {
    const auto end_of_line = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end_of_line);
    lines.remove_prefix(end_of_line + 2);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view value = line.substr(std::min(line.find_first_not_of(' ', colon + 1), line.size()));
    response.headers.emplace(line.substr(0, colon), value);
    if (line.starts_with("Status:")) response.status = value.substr(0, 3);
  }
  return response;
}

inline Response fetch(const std::string &socket, const Request &request) {
  // Made first: a worker does not wait long for the params of a connection that it has accepted.
  const std::string wire = request.wire();
  const UniqueFd fd = connect_to(socket);
  send_all(fd, wire);
  return parse_response(receive_all(fd));
}

}  // namespace paddock::php_worker::testing
