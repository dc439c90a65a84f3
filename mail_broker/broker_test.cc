// The broker with a supervisor and sandboxes that the test plays.
#include "mail_broker/broker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/file.h"

using namespace paddock;
using namespace std::chrono_literals;

namespace {

class Play {
 public:
  explicit Play(mail_broker::BrokerOptions options = {}) {
    char path[] = "/tmp/paddock-mail-test-XXXXXX";
    directory_ = ::mkdtemp(path);
    auto ends = MessageSocket::pair().value();
    supervisor = std::move(ends.first);
    auto made = mail_broker::Broker::create(std::move(ends.second), std::move(options));
    thread_ = std::thread([this, broker = std::move(*made)] { fine_ = broker->run().ok(); });
    CHECK(supervisor.receive().value()->as<mail_link::Hello>().ok());
  }
  ~Play() {
    supervisor.close();
    thread_.join();
    CHECK(fine_);
    std::filesystem::remove_all(directory_);
  }

  void open_tenant(std::uint32_t number, uid_t uid = ::getuid()) {
    const std::string path = path_of(number);
    sockaddr_un address{AF_UNIX, {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener.get(), 4096) == 0);
    mail_link::OpenTenant message{number, "tenant" + std::to_string(number), uid, 4096, 5, true};
    const BorrowedFd fd = listener;
    REQUIRE(supervisor.send(message, std::span(&fd, 1)).ok());
  }

  [[nodiscard]] MessageSocket connect(std::uint32_t number) const {
    const std::string path = path_of(number);
    sockaddr_un address{AF_UNIX, {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(socket.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
    return MessageSocket(std::move(socket));
  }

  MessageSocket supervisor;

 private:
  [[nodiscard]] std::string path_of(std::uint32_t number) const {
    return directory_ + "/" + std::to_string(number);
  }

  std::string directory_;
  bool fine_ = false;  // how the broker's run ended; of the thread until it is joined
  std::thread thread_;
};

void send_message(const MessageSocket &socket, const std::string &text) {
  REQUIRE(socket.send(mail::Begin{true, {}, {}}).ok());
  REQUIRE(socket.send(mail::Part{text}).ok());
  REQUIRE(socket.send(mail::End{}).ok());
}

template <typename Message>
Message next(const MessageSocket &socket) {
  auto packet = socket.receive();
  if (!packet && packet.error().code == ECONNRESET) packet = socket.receive();
  REQUIRE(packet.ok());
  REQUIRE(packet->has_value());
  return (*packet)->as<Message>().value();
}

bool is_closed(const MessageSocket &socket) {
  const auto packet = socket.receive();
  return !packet || !packet->has_value();
}

}  // namespace

TEST_CASE("a message goes to the supervisor, and what came of it back") {
  Play play;
  play.open_tenant(7);
  const auto sandbox = play.connect(7);
  send_message(sandbox, "To: a@b\n\nhello\n");
  auto packet = play.supervisor.receive().value();
  const auto deliver = packet->as<mail_link::Deliver>().value();
  CHECK(deliver.tenant == 7);
  CHECK(deliver.recipients == std::vector<std::string>{"a@b"});
  REQUIRE(packet->fds.size() == 1);
  CHECK(read_all(packet->fds.front()).value() == "X-Paddock-Tenant: tenant7\nTo: a@b\n\nhello\n");
  REQUIRE(play.supervisor.send(mail_link::Delivered{deliver.delivery, false, "too many"}).ok());
  const auto answer = next<mail::Answer>(sandbox);
  CHECK(answer.status == mail::Status::kRefused);
  CHECK(answer.text == "too many");
}

TEST_CASE("a refusal is told to both sides, and what follows is not read") {
  Play play;
  play.open_tenant(1);
  const auto sandbox = play.connect(1);
  REQUIRE(sandbox.send(mail::Begin{true, {}, {}}).ok());
  for (int i = 0; i < 3; ++i)
    if (!sandbox.send(mail::Part{std::string(3000, 'x')})) break;
  CHECK(next<mail_link::Refused>(play.supervisor).tenant == 1);
  CHECK(next<mail::Answer>(sandbox).status == mail::Status::kRefused);
  CHECK(is_closed(sandbox));
}

TEST_CASE("one tenant's many connections leave room for another's") {
  mail_broker::BrokerOptions options;
  options.connections_per_tenant = 2;
  rlimit descriptors{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &descriptors) == 0);
  descriptors.rlim_cur = descriptors.rlim_max;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &descriptors) == 0);
  Play play(std::move(options));
  play.open_tenant(1);
  play.open_tenant(2);
  std::vector<MessageSocket> greedy;
  for (int i = 0; i < 1000; ++i) greedy.push_back(play.connect(1));
  const auto modest = play.connect(2);
  send_message(modest, "To: a@b\n\nx");
  CHECK(next<mail_link::Deliver>(play.supervisor).tenant == 2);
  // Each that goes makes room for one that waits.
  greedy.erase(greedy.begin(), greedy.begin() + 999);
  send_message(greedy.front(), "To: c@d\n\nx");
  CHECK(next<mail_link::Deliver>(play.supervisor).tenant == 1);
}

TEST_CASE("a sender that stalls is let go") {
  mail_broker::BrokerOptions options;
  options.silence = 50ms;
  Play play(std::move(options));
  play.open_tenant(1);
  const auto sandbox = play.connect(1);
  REQUIRE(sandbox.send(mail::Begin{}).ok());
  CHECK(is_closed(sandbox));
}

TEST_CASE("what is no message, and who is not the tenant, is let go") {
  Play play;
  play.open_tenant(1);
  play.open_tenant(2, ::getuid() + 1);
  CHECK(is_closed(play.connect(2)));
  const auto sandbox = play.connect(1);
  const std::string noise(100, '\xff');
  REQUIRE(sandbox.send_bytes({reinterpret_cast<const std::uint8_t *>(noise.data()), noise.size()}).ok());
  CHECK(is_closed(sandbox));
  const auto again = play.connect(1);
  send_message(again, "To: a@b\n\nx");
  CHECK(next<mail_link::Deliver>(play.supervisor).tenant == 1);
}

TEST_CASE("a sandbox that ends takes no message with it that is on its way") {
  Play play;
  play.open_tenant(1);
  auto sandbox = play.connect(1);
  send_message(sandbox, "To: a@b\n\nx");
  const auto deliver = next<mail_link::Deliver>(play.supervisor);
  sandbox.close();
  REQUIRE(play.supervisor.send(mail_link::CloseTenant{1}).ok());
  REQUIRE(play.supervisor.send(mail_link::Delivered{deliver.delivery, true, {}}).ok());
  play.open_tenant(2);
  const auto other = play.connect(2);
  send_message(other, "To: a@b\n\nx");
  CHECK(next<mail_link::Deliver>(play.supervisor).tenant == 2);
}
