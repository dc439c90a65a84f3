// sendmail, as it is in a sandbox's view: hands the message on its standard input to Paddock's mail broker.
//
// Exit status as sysexits.h has it, and what was wrong on standard error, which for PHP's mail() is the
// tenant's log.
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/message_socket.h"
#include "protocols/mail/submission.h"
#include "sendmail/arguments.h"

namespace {

using namespace paddock;
using mail::Status;

// The broker takes a tenant's messages a few at a time: until it is this one's turn, and until the MTA has
// it.
constexpr time_t kPatience = 120;

[[noreturn]] void end(Status status, const std::string &text) {
  if (!text.empty()) std::fprintf(stderr, "sendmail: not sent: %s\n", text.c_str());
  ::_exit(static_cast<int>(status));
}

Result<MessageSocket> reach_broker() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error("make a socket");
  const timeval patience{kPatience, 0};
  for (const int option : {SO_SNDTIMEO, SO_RCVTIMEO})
    if (::setsockopt(fd.get(), SOL_SOCKET, option, &patience, sizeof patience) != 0)
      return errno_error("set a time-out");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, mail::kSocketInView, sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0)
    return errno_error(errno == EAGAIN ? "too much mail is on its way" : "reach the mail broker");
  return MessageSocket(std::move(fd));
}

[[noreturn]] void end_with_answer(const MessageSocket &broker) {
  auto packet = broker.receive();
  // The broker closed before it had read all: the kernel says so once, and then hands out what it had
  // answered.
  if (!packet && packet.error().code == ECONNRESET) packet = broker.receive();
  if (!packet) end(Status::kRefused, packet.error().message());
  if (!packet->has_value()) end(Status::kRefused, "the mail broker went away");
  const auto answer = (*packet)->as<mail::Answer>();
  if (!answer) end(Status::kRefused, answer.error().message());
  end(answer->status, answer->text);
}

// Standard input up to its end, or to a line with a dot alone.
class Input {
 public:
  explicit Input(bool ignore_dots) : ignore_dots_(ignore_dots) {}

  // Empty: that was all.
  std::string next() {
    std::string bytes(mail::Part::kMost, '\0');
    ssize_t got = -1;
    do {
      got = over_ ? 0 : ::read(STDIN_FILENO, bytes.data(), bytes.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) end(Status::kRefused, errno_error("read the message").message());
    bytes.resize(static_cast<std::size_t>(got));
    if (!ignore_dots_) cut_at_dot(bytes);
    return bytes;
  }

 private:
  void cut_at_dot(std::string &bytes) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const char c = bytes[at];
      if (c == '\n' && line_ == ".") {
        over_ = true;
        bytes.resize(at > 0 ? at - 1 : 0);
        return;
      }
      if (c == '\n') {
        line_.clear();
      } else if (line_.size() < 2 && c != '\r') {
        line_ += c;
      }
    }
  }

  bool ignore_dots_;
  bool over_ = false;
  std::string line_;  // the beginning of the last one
};

int submit(int argc, char **argv) {
  auto arguments = sendmail::parse_arguments(std::vector<std::string>(argv + 1, argv + argc));
  if (!arguments) end(Status::kUsage, arguments.error().message());
  const auto broker = reach_broker();
  if (!broker) end(Status::kRefused, broker.error().message());
  const mail::Begin begin{arguments->from_headers, std::move(arguments->sender),
                          std::move(arguments->recipients)};
  if (const auto sent = broker->send(begin); !sent) {
    if (sent.error().code == EMSGSIZE) end(Status::kUsage, "too many recipients");
    end_with_answer(*broker);
  }
  Input input(arguments->ignore_dots);
  for (std::string bytes = input.next(); !bytes.empty(); bytes = input.next())
    if (!broker->send(mail::Part{std::move(bytes)})) end_with_answer(*broker);
  [[maybe_unused]] const auto sent = broker->send(mail::End{});
  end_with_answer(*broker);
}

}  // namespace

int main(int argc, char **argv) {
  return argc < 1 ? static_cast<int>(Status::kUsage) : submit(argc, argv);
}
