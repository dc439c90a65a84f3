#include "dashboard/control_link.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>

namespace paddock::dashboard {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using Stream = boost::beast::basic_stream<stream_protocol>;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

Error failure(const std::string &attempt, const boost::system::error_code &code) {
  if (code == boost::beast::error::timeout) return errno_error(attempt, ETIMEDOUT);
  if (code == asio::error::eof) return errno_error(attempt, ECONNRESET);
  return errno_error(attempt, code.value());
}

asio::awaitable<Result<void>> send(Stream &stream, const std::string &path, const control::Request &request) {
  auto [connect_error] = co_await stream.async_connect(stream_protocol::endpoint(path), kToken);
  if (connect_error) co_return failure("connect to " + path, connect_error);
  const std::string line = control::to_json(request) + "\n";
  auto [write_error, written] = co_await asio::async_write(stream, asio::buffer(line), kToken);
  if (write_error) co_return failure("ask the supervisor", write_error);
  co_return Result<void>();
}

asio::awaitable<Result<control::Reply>> receive(Stream &stream, std::string &input) {
  auto [error, length] = co_await asio::async_read_until(
      stream, asio::dynamic_buffer(input, ControlLink::kMaxReply), '\n', kToken);
  if (error) co_return failure("read the supervisor's answer", error);
  auto reply = control::parse_reply(std::string_view(input).substr(0, length));
  input.erase(0, length);
  co_return reply;
}

}  // namespace

asio::awaitable<Result<control::Reply>> ControlLink::ask(control::Request request,
                                                         std::chrono::seconds patience) {
  if (questions_ >= kMaxQuestions) co_return errno_error("ask the supervisor", EBUSY);
  struct Counted {
    int &count;
    explicit Counted(int &which) : count(which) { ++count; }
    ~Counted() { --count; }
  } counted(questions_);
  Stream stream(co_await asio::this_coro::executor);
  stream.expires_after(patience);
  if (auto sent = co_await send(stream, path_, request); !sent) co_return std::move(sent).error();
  std::string input;
  co_return co_await receive(stream, input);
}

asio::awaitable<Error> ControlLink::follow(control::Request request, std::chrono::seconds patience,
                                           std::function<bool(control::Reply)> on_reply) {
  Stream stream(co_await asio::this_coro::executor);
  stream.expires_after(patience);
  if (auto sent = co_await send(stream, path_, request); !sent) co_return std::move(sent).error();
  std::string input;
  for (;;) {
    stream.expires_after(patience);
    auto reply = co_await receive(stream, input);
    if (!reply) co_return std::move(reply).error();
    if (reply->failure) co_return Error{reply->failure->message};
    if (!on_reply(std::move(*reply))) co_return Error{"no longer wanted"};
  }
}

}  // namespace paddock::dashboard
