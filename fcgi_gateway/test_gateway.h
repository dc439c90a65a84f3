// Tests of the gateway: the program itself as a child process, driven as the supervisor and the web server
// would.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/message_socket.h"
#include "base/process.h"
#include "fcgi_gateway/guardian.h"
#include "fcgi_gateway/refusal.h"
#include "protocols/fastcgi/params.h"
#include "protocols/fastcgi/record.h"
#include "protocols/gateway_link/gateway_link.h"
#include "protocols/handoff/handoff.h"
#include "protocols/scoreboard/scoreboard.h"

namespace paddock::fcgi_gateway::testing {

using namespace std::chrono_literals;
using gateway_link::Mode;
using gateway_link::Refusal;
using Clock = std::chrono::steady_clock;

inline std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

inline bool wait_readable(BorrowedFd fd, std::chrono::milliseconds time) {
  pollfd entry{fd.get(), POLLIN, 0};
  return ::poll(&entry, 1, static_cast<int>(time.count())) > 0;
}

class PrivateDirectory {
 public:
  PrivateDirectory() : path_("/tmp/paddock-gateway-test-XXXXXX") {
    REQUIRE(::mkdtemp(path_.data()) != nullptr);
  }
  ~PrivateDirectory() { std::filesystem::remove_all(path_); }
  PrivateDirectory(const PrivateDirectory &) = delete;
  PrivateDirectory &operator=(const PrivateDirectory &) = delete;
  [[nodiscard]] std::string operator/(const std::string &name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline sockaddr_un address(const std::string &path) {
  sockaddr_un result{};
  result.sun_family = AF_UNIX;
  path.copy(result.sun_path, sizeof result.sun_path - 1);
  return result;
}

inline UniqueFd listen_at(const std::string &path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un where = address(path);
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr *>(&where), sizeof where) == 0);
  REQUIRE(::listen(fd.get(), 4096) == 0);
  return fd;
}

inline UniqueFd connect_to(const std::string &path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un where = address(path);
  REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr *>(&where), sizeof where) == 0);
  return fd;
}

// A gateway under test, and our end of its link.
class GatewayProcess {
 public:
  GatewayProcess() {
    auto ends = MessageSocket::pair();
    REQUIRE(ends.ok());
    link_ = std::move(ends->first);
    SpawnOptions options;
    auto inheritance = MessageSocket::pair();
    REQUIRE(inheritance.ok());
    inheritance_ = {std::move(inheritance->first), std::move(inheritance->second)};
    options.arguments = {PADDOCK_GATEWAY,     "--link-fd", "3", "--reports-fd", "4",
                         "--inheritance-fds", "5",         "6", "--log-level",  "error"};
    for (const char *name : {"ASAN_OPTIONS", "UBSAN_OPTIONS"})
      if (const char *value = ::getenv(name); value != nullptr)
        options.environment.push_back(std::string(name) + "=" + value);
    const UniqueFd reports(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_un where = address(reports_path());
    REQUIRE(::bind(reports.get(), reinterpret_cast<const sockaddr *>(&where), sizeof where) == 0);
    options.fds = {
        {ends->second.fd(), 3}, {reports, 4}, {inheritance_.in.fd(), 5}, {inheritance_.out.fd(), 6}};
    auto child = spawn(options);
    REQUIRE(child.ok());
    child_ = std::move(child).value();
    ends->second.close();
    const auto hello = next<gateway_link::Hello>(10s);
    REQUIRE(hello);
    CHECK(hello->pid == static_cast<std::uint32_t>(child_.pid()));
  }
  ~GatewayProcess() {
    link_.close();
    wait();
  }
  GatewayProcess(const GatewayProcess &) = delete;
  GatewayProcess &operator=(const GatewayProcess &) = delete;

  // Where it is told what the web server refused.
  [[nodiscard]] std::string reports_path() const { return directory_ / "reports"; }

  void add(std::uint32_t tenant, BorrowedFd socket, Mode mode, const Refusal &refusal = {}) {
    const gateway_link::AddTenant message{tenant, "tenant" + std::to_string(tenant), mode, refusal};
    const std::vector fds{socket};
    REQUIRE(link_.send(message, fds).ok());
  }
  void set_mode(std::uint32_t tenant, Mode mode, const Refusal &refusal = {}) {
    REQUIRE(link_.send(gateway_link::SetMode{tenant, mode, refusal}).ok());
  }

  // The sandbox's side of a lease.
  struct Sandbox {
    scoreboard::MappedBoard board;
    handoff::MappedPage page;
    MessageSocket handoff;
  };
  Sandbox lease(const gateway_link::Lease &message) {
    auto board = scoreboard::create_board("test");
    auto page = handoff::create_page("test");
    auto ends = MessageSocket::pair();
    REQUIRE((board.ok() && page.ok() && ends.ok()));
    auto read_only = handoff::reopen_read_only(*page);
    REQUIRE(read_only.ok());
    auto mapped = scoreboard::MappedBoard::map(*board, true);
    auto mapped_page = handoff::MappedPage::map(*read_only, false);
    REQUIRE((mapped.ok() && mapped_page.ok()));
    const std::vector fds{board->borrow(), page->borrow(), ends->first.fd()};
    REQUIRE(link_.send(message, fds).ok());
    return {std::move(*mapped), std::move(*mapped_page), std::move(ends->second)};
  }

  // The next message, if one comes in time and is a Message. Waiting is passed over.
  template <typename Message>
  std::optional<Message> next(std::chrono::milliseconds time) {
    const auto deadline = Clock::now() + time;
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      if (!wait_readable(link_.fd(), std::max(left, 0ms))) return std::nullopt;
      auto packet = link_.receive();
      if (!packet || !packet->has_value()) return std::nullopt;
      auto message = (*packet)->as<Message>();
      if (message.ok()) return std::optional(std::move(*message));
      // It comes whenever something that is held has changed.
      if (!(*packet)->as<gateway_link::Waiting>()) return std::nullopt;
    }
  }
  // Returns when the gateway has done all that was sent before.
  void settle() {
    // It reads its messages in order: when a tenant of our own wakes, the rest has been done.
    const UniqueFd socket = listen_at(directory_ / std::to_string(++probes_));
    const UniqueFd client = connect_to(directory_ / std::to_string(probes_));
    add(1'000'000 + probes_, socket, Mode::kWatch);
    const auto wake = next<gateway_link::Wake>(5s);
    REQUIRE(wake);
    REQUIRE(wake->tenant == 1'000'000 + probes_);
    REQUIRE(link_.send(gateway_link::RemoveTenant{1'000'000 + probes_}).ok());
  }

  // Its exit status, waited for.
  std::optional<ExitStatus> wait() {
    if (!ended_ && child_.valid()) {
      if (!wait_readable(child_.pidfd(), 20s)) (void)child_.signal(SIGKILL);
      wait_readable(child_.pidfd(), 20s);
      if (auto status = child_.try_reap(); status.ok()) ended_ = *status;
    }
    return ended_;
  }

  [[nodiscard]] std::string status_field(const std::string &name) const {
    std::istringstream lines(*read_file("/proc/" + std::to_string(child_.pid()) + "/status"));
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(name + ":")) return line.substr(line.find_first_not_of(" \t", name.size() + 1));
    return "";
  }
  [[nodiscard]] std::size_t descriptors() const {
    const auto begin = std::filesystem::directory_iterator("/proc/" + std::to_string(child_.pid()) + "/fd");
    return static_cast<std::size_t>(std::distance(begin, std::filesystem::directory_iterator{}));
  }
  [[nodiscard]] std::chrono::milliseconds cpu_time() const {
    std::istringstream stat(*read_file("/proc/" + std::to_string(child_.pid()) + "/stat"));
    std::string field;
    for (int i = 1; i <= 13; ++i) stat >> field;
    long user = 0;
    long system = 0;
    stat >> user >> system;
    return std::chrono::milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
  }

  MessageSocket &link() { return link_; }
  // Of what a gateway before is to have held.
  [[nodiscard]] const MessageSocket &inheritance() const { return inheritance_.in; }
  // Of what this one held, when it is gone.
  [[nodiscard]] const MessageSocket &left() const { return inheritance_.out; }
  [[nodiscard]] const Child &child() const { return child_; }

 private:
  PrivateDirectory directory_;
  MessageSocket link_;
  Inheritance inheritance_;
  Child child_;
  std::uint32_t probes_ = 0;
  std::optional<ExitStatus> ended_;
};

// A request up to the end of its params.
inline std::string request_head(fastcgi::Role role = fastcgi::Role::kResponder) {
  std::string params;
  fastcgi::append_param(params, "SCRIPT_FILENAME", "/home/alice/index.php");
  fastcgi::append_param(params, "REQUEST_METHOD", "POST");
  std::string out;
  fastcgi::append_begin_request(out, 1, role, 0);
  fastcgi::append_record(out, fastcgi::Type::kParams, 1, params);
  fastcgi::append_record(out, fastcgi::Type::kParams, 1, {});
  return out;
}

inline std::string stdin_end() {
  std::string out;
  fastcgi::append_record(out, fastcgi::Type::kStdin, 1, {});
  return out;
}

inline bool send_text(BorrowedFd fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

struct Answer {
  std::string out;                                           // STDOUT's content
  std::vector<std::pair<std::uint8_t, std::string>> others;  // every other record
  bool ended = false;                                        // END_REQUEST was there
  std::uint8_t protocol_status = 0;
  bool closed = false;  // and then end of file
};

// Reads until END_REQUEST and (until_closed) end of file, or the time is over.
inline Answer read_answer(BorrowedFd fd, std::chrono::milliseconds time, bool until_closed = true) {
  Answer answer;
  fastcgi::RecordReader reader;
  std::string content;
  const auto deadline = Clock::now() + time;
  while (!answer.closed && (until_closed || !answer.ended)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left <= 0ms || !wait_readable(fd, left)) break;
    std::array<std::uint8_t, 4096> buffer;
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    answer.closed = got <= 0;
    if (got <= 0) break;
    std::span<const std::uint8_t> input = std::span(buffer).first(static_cast<std::size_t>(got));
    fastcgi::Fragment fragment;
    while (reader.next(input, fragment)) {
      if (fragment.first) content.clear();
      content += text_of(fragment.content);
      if (!fragment.last) continue;
      if (fragment.header.type == static_cast<std::uint8_t>(fastcgi::Type::kStdout)) {
        answer.out += content;
      } else if (fragment.header.type == static_cast<std::uint8_t>(fastcgi::Type::kEndRequest)) {
        answer.ended = true;
        answer.protocol_status = static_cast<std::uint8_t>(content[4]);
      } else {
        answer.others.emplace_back(fragment.header.type, content);
      }
    }
  }
  return answer;
}

inline Answer ask(const std::string &path, std::chrono::milliseconds time = 4s) {
  const UniqueFd client = connect_to(path);
  send_text(client, request_head() + stdin_end());
  return read_answer(client, time);
}

inline const Refusal kBlocked{503, 30, "blocked", "<p>Blocked.</p>"};

inline void raise_own_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace paddock::fcgi_gateway::testing
