#include "dashboard/server.h"

#include <fcntl.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <charconv>

#include "base/log.h"

namespace paddock::dashboard {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

// What the pages need and nothing else: should a tenant's text ever get into one as markup, it can do
// nothing.
constexpr const char *kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string text(std::string_view value) {
  return std::string(value);
}

// The address that a proxy on this machine says it speaks for: the last one of the list is its own word.
std::string forwarded(std::string_view list) {
  const std::size_t comma = list.rfind(',');
  std::string_view last = comma == std::string_view::npos ? list : list.substr(comma + 1);
  while (last.starts_with(' ')) last.remove_prefix(1);
  const bool address = !last.empty() && last.size() <= 45 &&
                       last.find_first_not_of("0123456789abcdefABCDEF.:") == std::string_view::npos;
  return address ? std::string(last) : std::string();
}

Result<HttpRequest> read_request(const http::request<http::string_body> &from, const std::string &peer) {
  HttpRequest request;
  request.method = text(from.method_string());
  PADDOCK_CHECK(split_target(text(from.target()), request));
  request.cookies = parse_cookies(text(from[http::field::cookie]));
  request.host = text(from[http::field::host]);
  request.origin = text(from[http::field::origin]);
  request.authorization = text(from[http::field::authorization]);
  request.accept = text(from[http::field::accept]);
  request.csrf = text(from["X-Paddock-CSRF"]);
  request.content_type = text(from[http::field::content_type]);
  request.from = peer;
  if (const std::string client = forwarded(text(from["X-Forwarded-For"])); !client.empty())
    request.from += " for " + client;
  request.body = from.body();
  return request;
}

void set_security(http::fields &fields) {
  fields.set("Content-Security-Policy", kPolicy);
  fields.set("X-Content-Type-Options", "nosniff");
  fields.set("Referrer-Policy", "no-referrer");
  fields.set("Cross-Origin-Opener-Policy", "same-origin");
  fields.set("Cross-Origin-Resource-Policy", "same-origin");
}

http::response<http::string_body> write_response(HttpResponse &&from, unsigned version, bool keep_alive) {
  http::response<http::string_body> response(static_cast<http::status>(from.status), version);
  set_security(response);
  response.set(http::field::content_type, from.content_type);
  response.set(http::field::cache_control,
               from.cacheable ? "public, max-age=31536000, immutable" : "no-store");
  for (const auto &[name, value] : from.headers) response.insert(name, value);
  response.body() = std::move(from.body);
  response.keep_alive(keep_alive);
  response.prepare_payload();
  return response;
}

}  // namespace

class Server::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Api &api) : stream_(std::move(socket)), api_(api) {}

  void start() {
    asio::co_spawn(
        stream_.get_executor(), [self = shared_from_this()] { return self->serve(); },
        [](const std::exception_ptr &failure) {
          try {
            if (failure) std::rethrow_exception(failure);
          } catch (const std::exception &error) {
            log::error(std::string("a connection: ") + error.what());
          }
        });
  }
  [[nodiscard]] bool known() const { return known_; }
  void close() { stream_.close(); }

 private:
  asio::awaitable<void> serve() {
    const auto self = shared_from_this();
    boost::system::error_code none;
    const auto remote = stream_.socket().remote_endpoint(none);
    const std::string peer = none ? "" : remote.address().to_string();
    beast::flat_buffer buffer(kMaxHeader + kMaxBody);
    for (int i = 0; i < kRequestsPerConnection; ++i) {
      http::request_parser<http::string_body> parser;
      parser.header_limit(kMaxHeader);
      parser.body_limit(kMaxBody);
      stream_.expires_after(kReadPatience);
      auto [error, size] = co_await http::async_read(stream_, buffer, parser, kToken);
      if (error) {
        co_await refuse(error);
        break;
      }
      const unsigned version = parser.get().version();
      const bool last = !parser.get().keep_alive() || i + 1 == kRequestsPerConnection;
      const bool head = parser.get().method() == http::verb::head;
      const auto request = read_request(parser.get(), peer);
      HttpResponse answer;
      if (!request) {
        answer = error_response(400, "bad-request", request.error().message());
      } else {
        known_ = api_.known(*request);
        // How long the supervisor may take is bounded where it is asked.
        stream_.expires_never();
        answer = co_await api_.answer(*request);
      }
      if (answer.stream) {
        co_await stream_events(*request);
        break;
      }
      auto response = write_response(std::move(answer), version, !last);
      stream_.expires_after(kWritePatience);
      boost::system::error_code failed;
      if (head) {
        http::response_serializer<http::string_body> serializer(response);
        std::tie(failed, size) = co_await http::async_write_header(stream_, serializer, kToken);
      } else {
        std::tie(failed, size) = co_await http::async_write(stream_, response, kToken);
      }
      if (failed || last) break;
    }
    boost::system::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.close();
  }

  // What could not be read; a client that has just gone gets nothing.
  asio::awaitable<void> refuse(const boost::system::error_code &error) {
    unsigned status = 400;
    std::string what = "expected an HTTP/1.1 request";
    if (error == http::error::header_limit) {
      status = 431;
      what = "the header is longer than 16 KiB";
    } else if (error == http::error::body_limit) {
      status = 413;
      what = "the body is longer than 16 KiB";
    } else if (error.category() != http::make_error_code(http::error::bad_method).category() ||
               error == http::error::end_of_stream || error == http::error::partial_message) {
      co_return;
    }
    auto response = write_response(error_response(status, "bad-request", what), 11, false);
    stream_.expires_after(std::chrono::seconds(2));
    [[maybe_unused]] const auto written = co_await http::async_write(stream_, response, kToken);
  }

  asio::awaitable<void> stream_events(const HttpRequest &request) {
    http::response<http::empty_body> header(http::status::ok, 11);
    set_security(header);
    header.set(http::field::content_type, "text/event-stream");
    header.set(http::field::cache_control, "no-store");
    header.set("X-Accel-Buffering", "no");
    header.keep_alive(false);
    http::response_serializer<http::empty_body> serializer(header);
    stream_.expires_after(kWritePatience);
    auto [error, size] = co_await http::async_write_header(stream_, serializer, kToken);
    if (error) co_return;
    co_await api_.stream(request, [this](std::string text) { return write(std::move(text)); });
  }

  asio::awaitable<bool> write(std::string text) {
    stream_.expires_after(kWritePatience);
    auto [error, size] = co_await asio::async_write(stream_, asio::buffer(text), kToken);
    stream_.expires_never();
    co_return !error;
  }

  beast::tcp_stream stream_;
  Api &api_;
  bool known_ = false;  // the last request came with a session
};

Result<void> Server::listen(const std::string &address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return Error{"listen at " + address + ": expected ADDRESS:PORT"};
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  std::uint16_t port = 0;
  std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(host, error);
  if (error || port == 0) return Error{"listen at " + address + ": expected ADDRESS:PORT"};
  const tcp::endpoint endpoint(ip, port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) ::fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(static_cast<int>(kMaxConnections), error);
  if (error) return errno_error("listen at " + address, error.value());
  return {};
}

void Server::start() {
  asio::co_spawn(io_, accept(), asio::detached);
}

bool Server::make_room() {
  connections_.remove_if([](const auto &connection) { return connection.expired(); });
  if (connections_.size() < kMaxConnections) return true;
  for (auto place = connections_.begin(); place != connections_.end(); ++place) {
    const auto connection = place->lock();
    if (connection == nullptr || connection->known()) continue;
    connection->close();
    connections_.erase(place);
    return true;
  }
  return false;
}

asio::awaitable<void> Server::accept() {
  asio::steady_timer pause(io_);
  for (;;) {
    auto [error, socket] = co_await acceptor_.async_accept(kToken);
    if (error) {
      if (error == asio::error::operation_aborted) co_return;
      pause.expires_after(std::chrono::milliseconds(100));  // out of descriptors
      [[maybe_unused]] const auto waited = co_await pause.async_wait(kToken);
      continue;
    }
    ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    if (!make_room()) continue;
    const auto connection = std::make_shared<Connection>(std::move(socket), api_);
    connections_.push_back(connection);
    connection->start();
  }
}

}  // namespace paddock::dashboard
