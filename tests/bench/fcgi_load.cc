// fcgi-load: asks a FastCGI socket for one script, as fast as it answers, each request on a connection of its
// own, as mod_proxy_fcgi does without enablereuse. Prints one line of JSON.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocols/fastcgi/params.h"
#include "protocols/fastcgi/record.h"

namespace {

using namespace paddock;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string socket;
  std::string script;
  std::string expect;
  std::size_t connections = 16;
  std::size_t requests = 0;  // 0: as many as fit the time
  double seconds = 3;
};

std::string request_bytes(const Options &options) {
  const std::string name = options.script.substr(options.script.rfind('/') + 1);
  std::string params;
  for (const auto &[key, value] : {std::pair<std::string_view, std::string>{"GATEWAY_INTERFACE", "CGI/1.1"},
                                   {"SERVER_SOFTWARE", "fcgi-load"},
                                   {"SERVER_NAME", "localhost"},
                                   {"SERVER_PROTOCOL", "HTTP/1.1"},
                                   {"SERVER_PORT", "80"},
                                   {"REMOTE_ADDR", "127.0.0.1"},
                                   {"REMOTE_PORT", "40000"},
                                   {"HTTP_HOST", "localhost"},
                                   {"REQUEST_METHOD", "GET"},
                                   {"REQUEST_URI", "/" + name},
                                   {"SCRIPT_NAME", "/" + name},
                                   {"SCRIPT_FILENAME", options.script},
                                   {"DOCUMENT_ROOT", options.script.substr(0, options.script.rfind('/'))},
                                   {"QUERY_STRING", ""}})
    fastcgi::append_param(params, key, value);
  std::string bytes;
  fastcgi::append_begin_request(bytes, 1, fastcgi::Role::kResponder, 0);
  fastcgi::append_record(bytes, fastcgi::Type::kParams, 1, params);
  fastcgi::append_record(bytes, fastcgi::Type::kParams, 1, {});
  fastcgi::append_record(bytes, fastcgi::Type::kStdin, 1, {});
  return bytes;
}

// One request under way.
struct Exchange {
  UniqueFd fd;
  Clock::time_point start;
  fastcgi::RecordReader reader;
  std::string out;
  bool ended = false;
};

class Load {
 public:
  Load(const Options &options, UniqueFd epoll)
      : options_(options),
        request_(request_bytes(options)),
        epoll_(std::move(epoll)),
        exchanges_(options.connections) {}

  Result<void> run() {
    begin_ = Clock::now();
    deadline_ =
        begin_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.seconds));
    for (std::size_t i = 0; i < exchanges_.size(); ++i) PADDOCK_CHECK(start(i));
    std::array<epoll_event, 64> events;
    while (open_ > 0) {
      const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 10'000);
      if (ready < 0 && errno != EINTR) return errno_error("epoll_wait");
      if (ready == 0) return Error{"no answer for 10 seconds"};
      for (int i = 0; i < ready; ++i) PADDOCK_CHECK(receive(events[static_cast<std::size_t>(i)].data.u64));
    }
    elapsed_ = Clock::now() - begin_;
    return {};
  }

  void print() {
    std::sort(microseconds_.begin(), microseconds_.end());
    const auto quantile = [&](std::size_t percent) {
      return microseconds_.empty() ? 0U : microseconds_[(microseconds_.size() - 1) * percent / 100];
    };
    const double seconds = std::chrono::duration<double>(elapsed_).count();
    std::printf(
        "{\"requests\": %zu, \"errors\": %zu, \"seconds\": %.4f, \"per_second\": %.1f, \"p50_us\": %u, "
        "\"p99_us\": %u}\n",
        microseconds_.size(), errors_, seconds, static_cast<double>(microseconds_.size()) / seconds,
        quantile(50), quantile(99));
  }

 private:
  [[nodiscard]] bool more() const {
    return options_.requests > 0 ? started_ < options_.requests : Clock::now() < deadline_;
  }

  Result<void> start(std::size_t index) {
    if (!more()) return {};
    Exchange &exchange = exchanges_[index];
    exchange = {};
    exchange.fd.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!exchange.fd.valid()) return errno_error("socket");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    options_.socket.copy(address.sun_path, sizeof address.sun_path - 1);
    exchange.start = Clock::now();
    // Blocks while the backlog is full, as Apache does.
    if (::connect(exchange.fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0)
      return errno_error("connect to " + options_.socket);
    if (::send(exchange.fd.get(), request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size()))
      return errno_error("send to " + options_.socket);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, exchange.fd.get(), &event) != 0)
      return errno_error("epoll_ctl");
    ++started_;
    ++open_;
    return {};
  }

  Result<void> receive(std::size_t index) {
    Exchange &exchange = exchanges_[index];
    const ssize_t got = ::recv(exchange.fd.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return {};
    if (got > 0) {
      std::span<const std::uint8_t> input = std::span(buffer_).first(static_cast<std::size_t>(got));
      fastcgi::Fragment fragment;
      while (exchange.reader.next(input, fragment)) {
        const auto type = static_cast<fastcgi::Type>(fragment.header.type);
        if (type == fastcgi::Type::kStdout && exchange.out.size() < 4096)
          exchange.out.append(reinterpret_cast<const char *>(fragment.content.data()),
                              fragment.content.size());
        if (type == fastcgi::Type::kEndRequest && fragment.last) exchange.ended = true;
      }
      if (!exchange.ended) return {};
    }
    const bool right = exchange.ended && !exchange.out.starts_with("Status: ") &&
                       exchange.out.find(options_.expect) != std::string::npos;
    if (right) {
      microseconds_.push_back(static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - exchange.start).count()));
    } else {
      ++errors_;
    }
    exchange.fd.reset();
    --open_;
    return start(index);
  }

  const Options &options_;
  const std::string request_;
  UniqueFd epoll_;
  std::vector<Exchange> exchanges_;
  std::array<std::uint8_t, 64 * 1024> buffer_{};
  std::vector<std::uint32_t> microseconds_;
  std::size_t errors_ = 0;
  std::size_t started_ = 0;
  std::size_t open_ = 0;
  Clock::time_point begin_;
  Clock::time_point deadline_;
  Clock::duration elapsed_{};
};

Result<void> measure(const Options &options) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return errno_error("epoll_create1");
  Load load(options, std::move(epoll));
  PADDOCK_CHECK(load.run());
  load.print();
  return {};
}

}  // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app{
      "Load on a FastCGI socket, a connection a request. Answers other than 200 count as errors.\n"
      "Exit status: 0, 1 when nothing could be measured, 2 for wrong arguments."};
  app.add_option("--socket", options.socket, "path of the Unix socket")->required();
  app.add_option("--script", options.script, "SCRIPT_FILENAME")->required();
  app.add_option("--expect", options.expect, "text that every answer must contain");
  app.add_option("--connections", options.connections, "requests at a time")->check(CLI::Range(1, 10'000));
  app.add_option("--requests", options.requests, "how many (default: as many as fit --seconds)");
  app.add_option("--seconds", options.seconds, "how long")->check(CLI::PositiveNumber);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &result) {
    return app.exit(result) == 0 ? 0 : 2;
  }
  if (const auto measured = measure(options); !measured) {
    std::fprintf(stderr, "fcgi-load: %s\n", measured.error().message().c_str());
    return 1;
  }
  return 0;
}
