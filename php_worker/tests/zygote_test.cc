// Sandboxes cloned from one zygote, as the supervisor does it. Needs root.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <deque>
#include <optional>

#include "base/file.h"
#include "base/message_socket.h"
#include "php_worker/tests/served_pool.h"
#include "protocols/handoff/handoff.h"
#include "protocols/keeper_link/keeper_link.h"
#include "protocols/scoreboard/scoreboard.h"
#include "protocols/zygote_link/zygote_link.h"
#include "sandbox/detached_tree.h"

using namespace paddock;
using namespace paddock::php_worker::testing;

namespace {

std::optional<Packet> next_packet(const MessageSocket &link, int patience_ms = 20'000) {
  pollfd entry{link.fd().get(), POLLIN, 0};
  if (::poll(&entry, 1, patience_ms) <= 0) return std::nullopt;
  auto packet = link.receive();
  REQUIRE(packet);
  return std::move(*packet);
}

// Reads until `text` has come; false: the end came before it, or nothing for long.
bool receive_until(BorrowedFd fd, const std::string &text) {
  std::string all;
  char buffer[4096];
  while (all.find(text) == std::string::npos) {
    pollfd entry{fd.get(), POLLIN, 0};
    if (::poll(&entry, 1, 20'000) <= 0) return false;
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got <= 0) return false;
    all.append(buffer, static_cast<std::size_t>(got));
  }
  return true;
}

// A cgroup v2 directory of the test's own, where the kernel has v2 at all.
class Cgroup {
 public:
  Cgroup() {
    const std::string root =
        std::filesystem::exists("/sys/fs/cgroup/cgroup.procs") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
    static int count = 0;
    path_ = root + "/paddock-php-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
    REQUIRE(::mkdir(path_.c_str(), 0755) == 0);
    auto opened = open_file(path_, O_PATH | O_DIRECTORY);
    REQUIRE(opened);
    fd_ = std::move(*opened);
  }
  ~Cgroup() {
    std::ofstream(path_ + "/cgroup.kill") << "1";
    [[maybe_unused]] const bool removed = eventually([this] { return ::rmdir(path_.c_str()) == 0; });
  }
  Cgroup(const Cgroup &) = delete;
  Cgroup &operator=(const Cgroup &) = delete;
  [[nodiscard]] BorrowedFd fd() const { return fd_; }

 private:
  std::string path_;
  UniqueFd fd_;
};

class Zygote {
 public:
  explicit Zygote(const std::string &ini = "") {
    directory_.write(
        "ini/php.ini",
        "extension=posix\nzend_extension=opcache\nopcache.enable=1\nopcache.file_update_protection=0\n" +
            ini);
    auto ends = MessageSocket::pair();
    REQUIRE(ends);
    SpawnOptions options;
    options.arguments = {PADDOCK_PHP, "zygote", "--link-fd", "3", "--ini-dir", directory_.path() + "/ini"};
    options.environment = {"SECRET_OF_THE_HOST=1"};
    options.fds = {{ends->second.fd(), 3}};
    auto spawned = spawn(options);
    REQUIRE(spawned);
    child_ = std::move(*spawned);
    ends->second.close();
    link_ = std::move(ends->first);
    const auto packet = next_packet(link_);
    REQUIRE(packet);
    const auto hello = packet->as<zygote_link::Hello>();
    REQUIRE(hello);
    opcache_bytes = hello->opcache_bytes;
  }
  ~Zygote() {
    [[maybe_unused]] const auto killed = child_.signal(SIGKILL);
    [[maybe_unused]] const bool ended = eventually([this] {
      const auto reaped = child_.try_reap();
      return !reaped || reaped->has_value();
    });
    link_.close();  // which ends a spare
    for (const Child &spare : spares_) [[maybe_unused]] const auto status = spare.wait();
  }
  Zygote(const Zygote &) = delete;
  Zygote &operator=(const Zygote &) = delete;

  MessageSocket &link() { return link_; }
  Child &child() { return child_; }
  // What it says next, beside what it says of spares.
  std::optional<Packet> answer() {
    for (;;) {
      auto packet = next_packet(link_);
      if (!packet || packet->type() != zygote_link::Spare::kType) return packet;
      take_spare(*packet);
    }
  }
  // The one that is there next, where nothing else is to be answered.
  const Child &wait_for_spare() {
    const auto packet = next_packet(link_);
    REQUIRE(packet);
    take_spare(*packet);
    return spares_.back();
  }
  std::vector<std::uint64_t> opcache_bytes;

 private:
  void take_spare(const Packet &packet) {
    const auto spare = packet.as<zygote_link::Spare>();
    REQUIRE(spare);
    REQUIRE(packet.fds.size() == 1);
    spares_.emplace_back(static_cast<pid_t>(spare->pid),
                         UniqueFd(::fcntl(packet.fds[0].get(), F_DUPFD_CLOEXEC, 3)));
  }

  TemporaryDirectory directory_;
  MessageSocket link_;
  Child child_;
  std::deque<Child> spares_;
};

// A tenant's directory, socket and link, and the sandbox that the zygote makes for it.
class Tenant {
 public:
  explicit Tenant(std::uint32_t uid) : uid_(uid) {
    REQUIRE(::chown(home_.path().c_str(), uid, uid) == 0);
    spawn_.request = uid;
    spawn_.name = "t" + std::to_string(uid);
    spawn_.uid = spawn_.gid = uid;
    spawn_.user = spawn_.name;
    spawn_.home = home_.path();
    spawn_.tmp_bytes = 16 << 20;
  }

  ~Tenant() {
    if (!keeper_.valid()) return;
    [[maybe_unused]] const auto killed = keeper_.signal(SIGKILL);
    eventually([this] {
      const auto reaped = keeper_.try_reap();
      return !reaped || reaped->has_value();
    });
  }

  zygote_link::Spawn &spawn() { return spawn_; }

  void start(Zygote &zygote) {
    UniqueFd listen(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket().c_str(), socket().size());
    REQUIRE(::bind(listen.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0);
    REQUIRE(::listen(listen.get(), 128) == 0);
    auto ends = MessageSocket::pair();
    REQUIRE(ends);
    link_ = std::move(ends->first);
    auto log = open_file(outside_.path() + "/log", O_WRONLY | O_APPEND | O_CREAT, 0600);
    REQUIRE(log);
    auto board = scoreboard::create_board(spawn_.name);
    REQUIRE(board);
    auto tree = sandbox::open_detached_tree(home_.path(), {});
    REQUIRE(tree);
    auto page = handoff::create_page(spawn_.name);
    REQUIRE(page);
    auto handoff_ends = MessageSocket::pair();
    REQUIRE(handoff_ends);
    REQUIRE(handoff_ends->second.set_nonblocking(true).ok());
    gateway_ = std::move(handoff_ends->first);
    std::vector<BorrowedFd> fds = {listen, ends->second.fd(),         *log, *board, cgroup_.fd(),
                                   *page,  handoff_ends->second.fd(), *log, *tree};
    REQUIRE(fds.size() == zygote_link::kFixedFds);
    spawn_.opcache_files = static_cast<std::uint8_t>(opcache.size());
    for (const UniqueFd &file : opcache) fds.push_back(file);
    REQUIRE(zygote.link().send(spawn_, fds));
    const auto answer = zygote.answer();
    REQUIRE(answer);
    if (const auto refused = answer->as<zygote_link::SpawnFailed>(); refused)
      FAIL(refused->step << " " << refused->error);
    const auto spawned = answer->as<zygote_link::Spawned>();
    REQUIRE(spawned);
    REQUIRE(spawned->request == uid_);
    REQUIRE(answer->fds.size() == 1);
    keeper_ =
        Child(static_cast<pid_t>(spawned->pid), UniqueFd(::fcntl(answer->fds[0].get(), F_DUPFD_CLOEXEC, 3)));
  }

  // After the end of the sandbox before.
  void start_again(Zygote &zygote, std::vector<UniqueFd> files, bool filled) {
    opcache = std::move(files);
    spawn_.opcache_filled = filled;
    ::unlink(socket().c_str());
    start(zygote);
  }

  keeper_link::Ready wait_ready() {
    const auto packet = next_packet(link_);
    REQUIRE(packet);
    if (const auto failed = packet->as<keeper_link::Failed>(); failed)
      FAIL(failed->step << " " << failed->error);
    const auto ready = packet->as<keeper_link::Ready>();
    REQUIRE(ready);
    return *ready;
  }

  ExitStatus wait_end() {
    ExitStatus status{true, 0};
    CHECK(eventually([&] {
      const auto reaped = keeper_.try_reap();
      REQUIRE(reaped);
      if (*reaped) status = **reaped;
      return reaped->has_value();
    }));
    keeper_ = Child();
    return status;
  }

  [[nodiscard]] std::string socket() const { return outside_.path() + "/s"; }
  [[nodiscard]] std::string log() const { return contents(outside_.path() + "/log"); }
  [[nodiscard]] const TemporaryDirectory &home() const { return home_; }
  MessageSocket &link() { return link_; }
  MessageSocket &gateway() { return gateway_; }  // the gateway's end
  std::vector<UniqueFd> opcache;                 // for its next sandbox
  Child &keeper() { return keeper_; }

  Response run(const std::string &code, ParamList params = {}) {
    Request request;
    request.script = home_.write("run" + std::to_string(++scripts_) + ".php", "<?php " + code);
    request.params = std::move(params);
    return fetch(socket(), request);
  }

 private:
  std::uint32_t uid_;
  TemporaryDirectory home_;
  TemporaryDirectory outside_;
  Cgroup cgroup_;
  zygote_link::Spawn spawn_;
  MessageSocket link_;
  MessageSocket gateway_;
  Child keeper_;
  int scripts_ = 0;
};

}  // namespace

TEST_CASE("a sandbox answers as the tenant, inside its view") {
  Zygote zygote;
  Tenant tenant(61001);
  tenant.spawn().environment = {"OWN=value"};
  tenant.spawn().ini = {{"memory_limit", "33M", true}, {"no.such.entry", "1", false}};
  tenant.start(zygote);
  const keeper_link::Ready ready = tenant.wait_ready();
  CHECK(ready.total_us >= ready.view_us);
  const Response response = tenant.run(
      "touch(__DIR__ . '/made'); echo json_encode([posix_getuid(), getenv('OWN'), "
      "getenv('SECRET_OF_THE_HOST'), getenv('HOME') === __DIR__,"
      "getenv('USER'), ini_get('memory_limit'), ini_set('memory_limit', '1G'), file_exists('/root'), "
      "sprintf('%o', umask()),"
      "count(glob('/proc/[0-9]*'))]);");
  CHECK(response.body == R"([61001,"value",false,true,"t61001","33M",false,false,"22",2])");
  struct stat made {};
  REQUIRE(::stat((tenant.home().path() + "/made").c_str(), &made) == 0);
  CHECK(made.st_uid == 61001);
  CHECK(eventually([&] {
    return tenant.log().find("PHP refuses the plan's ini entry no.such.entry") != std::string::npos;
  }));
}

TEST_CASE("a sandbox is the same, whether a spare was there or not") {
  Zygote zygote;
  const std::string look =
      "echo getmypid() > 1 ? 'worker' : 'first', ' ', posix_getppid(), ' ', posix_getuid(), ' ', getcwd() "
      "=== __DIR__, "
      "' ', file_exists('/etc/passwd'), ' ', count(opcache_get_status()['scripts']);";
  std::string first;
  for (const std::uint32_t uid : {61001U, 61002U, 61003U}) {
    std::optional<pid_t> spare;
    if (uid != 61002U) spare = zygote.wait_for_spare().pid();  // the second comes at once
    Tenant tenant(uid);
    tenant.start(zygote);
    tenant.wait_ready();
    std::string said = tenant.run(look).body;
    const auto place = said.find(std::to_string(uid));
    REQUIRE(place != std::string::npos);
    said.erase(place, 5);
    if (first.empty()) first = said;
    CHECK(said == first);
    CHECK(said == "worker 1  1 1 1");
    if (spare)
      CHECK(eventually([&] { return !std::filesystem::exists("/proc/" + std::to_string(*spare) + "/exe"); }));
    REQUIRE(tenant.link().send(keeper_link::Drain{5'000}));
    CHECK(tenant.wait_end().code == 0);
  }
}

TEST_CASE("a sandbox finds what an earlier one of its tenant has compiled") {
  Zygote zygote;
  REQUIRE(zygote.opcache_bytes.size() == 1);
  const UniqueFd file(::memfd_create("opcache", MFD_CLOEXEC));
  REQUIRE(::ftruncate(file.get(), static_cast<off_t>(zygote.opcache_bytes.front())) == 0);
  const auto copies = [&file] {
    std::vector<UniqueFd> made;
    made.emplace_back(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
    return made;
  };
  const std::string look =
      "$s = opcache_get_status(); echo count($s['scripts']), ' ', isset($s['scripts'][__DIR__ . '/a.php']) ? "
      "'cached' : 'not', ' ', include __DIR__ . '/a.php', ' ',"
      "count(array_filter(array_map('readlink', array_filter(glob('/proc/self/fd/*'), 'is_link')),"
      "fn($to) => str_contains($to, 'opcache') && !str_contains($to, 'lock')));";
  {
    Tenant alice(61001);
    alice.opcache = copies();
    alice.home().write("a.php", "<?php return 'first';");
    alice.start(zygote);
    alice.wait_ready();
    CHECK(alice.run(look).body == "1 not first 0");
    CHECK(alice.run(look).body == "3 cached first 0");
    REQUIRE(alice.link().send(keeper_link::Drain{5'000}));
    CHECK(alice.wait_end().code == 0);
    alice.start_again(zygote, copies(), true);
    alice.wait_ready();
    CHECK(alice.run(look).body == "4 cached first 0");
    // A worker that is killed may have left it half written.
    alice.run("posix_kill(getmypid(), SIGKILL);");
    const auto died = next_packet(alice.link());
    REQUIRE(died);
    REQUIRE(died->as<keeper_link::WorkerDied>());
    REQUIRE(alice.link().send(keeper_link::Drain{5'000}));
    CHECK(alice.wait_end().code == keeper_link::kBrokenOff);
  }
  Tenant bob(61002);
  bob.home().write("a.php", "<?php return 'other';");
  bob.start(zygote);
  bob.wait_ready();
  CHECK(bob.run(look).body == "1 not other 0");
  CHECK(bob.run(look).body == "3 cached other 0");
}

TEST_CASE("opcache files that do not fit are refused") {
  Zygote zygote;
  Tenant alice(61001);
  for (int i = 0; i < 2; ++i) alice.opcache.emplace_back(::memfd_create("opcache", MFD_CLOEXEC));
  alice.start(zygote);
  const auto packet = next_packet(alice.link());
  REQUIRE(packet);
  const auto failed = packet->as<keeper_link::Failed>();
  REQUIRE(failed);
  CHECK(failed->error == EINVAL);
}

TEST_CASE("opcache is hit, and each sandbox has its own") {
  Zygote zygote;
  Tenant alice(61001);
  Tenant bob(61002);
  alice.start(zygote);
  bob.start(zygote);
  alice.wait_ready();
  bob.wait_ready();
  const std::string code =
      "$s = opcache_get_status(); echo json_encode([array_keys($s['scripts']), "
      "$s['opcache_statistics']['hits']]);";
  const std::string script = alice.home().write("a.php", "<?php " + code);
  Request request;
  request.script = script;
  fetch(alice.socket(), request);
  std::string escaped = script;
  for (auto at = escaped.find('/'); at != std::string::npos; at = escaped.find('/', at + 2))
    escaped.insert(at, "\\");
  CHECK(fetch(alice.socket(), request).body == "[[\"" + escaped + "\"],1]");
  CHECK(fetch(alice.socket(), request).body == "[[\"" + escaped + "\"],2]");
  const std::string other = bob.run(code).body;
  CHECK(other.find(bob.home().path().substr(5)) != std::string::npos);
  CHECK(other.find(alice.home().path().substr(5)) == std::string::npos);
  CHECK(other.ends_with(",0]"));
  // A third, started after the others have cached.
  Tenant carol(61003);
  carol.start(zygote);
  carol.wait_ready();
  const std::string third = carol.run(code).body;
  CHECK(third.find(alice.home().path().substr(5)) == std::string::npos);
  CHECK(third.ends_with(",0]"));
}

TEST_CASE("a lock that one sandbox holds on opcache's lock file does not stop another") {
  Zygote zygote;
  Tenant alice(61001);
  Tenant bob(61002);
  alice.start(zygote);
  bob.start(zygote);
  alice.wait_ready();
  bob.wait_ready();
  const auto inode = [](Tenant &tenant) {
    return tenant
        .run(
            "foreach (glob('/proc/self/fd/*') as $f) if (str_contains((string) @readlink($f), "
            "'opcache_lock')) echo fileinode($f);")
        .body;
  };
  const std::string first = inode(alice);
  CHECK_FALSE(first.empty());
  CHECK(first != inode(bob));
}

// The gateway counts a connection in the page after it has sent it, maybe long after: it was preempted.
TEST_CASE("a connection of the gateway is served though the page does not tell of it yet") {
  Zygote zygote;
  Tenant tenant(61001);
  tenant.start(zygote);
  tenant.wait_ready();
  for (int i = 0; i < 10; ++i) {
    CHECK(tenant.run("echo 'accepted';").body == "accepted");
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const UniqueFd client(ends[0]);
    UniqueFd handed(ends[1]);
    Request request;
    request.script = tenant.home().write("handed.php", "<?php echo 'handed';");
    REQUIRE(send_all(client, request.wire()));
    const std::array<BorrowedFd, 1> fds = {handed};
    REQUIRE(tenant.gateway().send(handoff::Connection{}, fds).ok());
    handed.reset();
    CHECK(parse_response(receive_all(client)).body == "handed");
  }
}

TEST_CASE("a connection of the gateway that no worker takes goes back") {
  Zygote zygote;
  Tenant tenant(61001);
  tenant.spawn().workers_max = 1;
  tenant.start(zygote);
  tenant.wait_ready();
  const auto connection = [](UniqueFd &client, UniqueFd &handed) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    client.reset(ends[0]);
    handed.reset(ends[1]);
  };
  Request endless;
  endless.script = tenant.home().write("endless.php", "<?php echo 'begun'; flush(); while (true);");
  UniqueFd busy;
  UniqueFd taken;
  connection(busy, taken);
  REQUIRE(send_all(busy, endless.wire()));
  const std::array<BorrowedFd, 1> first = {taken};
  REQUIRE(tenant.gateway().send(handoff::Connection{}, first).ok());
  REQUIRE(receive_until(busy, "begun"));

  UniqueFd client;
  UniqueFd handed;
  connection(client, handed);
  const std::array<BorrowedFd, 1> second = {handed};
  REQUIRE(tenant.gateway().send(handoff::Connection{"what came"}, second).ok());
  const auto back = next_packet(tenant.gateway());
  REQUIRE(back);
  const auto slow = back->as<handoff::Slow>();
  REQUIRE(slow);
  CHECK(slow->received == "what came");
  REQUIRE(back->fds.size() == 1);
  // The same connection.
  handed.reset();
  REQUIRE(send_all(back->fds.front(), "answer"));
  CHECK(receive_until(client, "answer"));
  // With a file that is the gateway's own it cannot go back; it waits for the worker.
  connection(client, handed);
  const std::array<BorrowedFd, 2> third = {handed, handed};
  REQUIRE(tenant.gateway().send(handoff::Connection{"what came"}, third).ok());
  pollfd entry{tenant.gateway().fd().get(), POLLIN, 0};
  CHECK(::poll(&entry, 1, 500) == 0);
}

TEST_CASE("without opcache it works too") {
  Zygote zygote("opcache.enable=0\n");
  Tenant tenant(61001);
  tenant.start(zygote);
  tenant.wait_ready();
  CHECK(tenant.run("echo 'plain';").body == "plain");
}

TEST_CASE("a script that writes to a peer that has gone gets an error, not a signal") {
  Zygote zygote;
  Tenant tenant(61001);
  tenant.start(zygote);
  tenant.wait_ready();
  const std::string code =
      "$p = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fclose($p[1]); @fwrite($p[0], 'x'); "
      "echo 'alive';";
  CHECK(tenant.run(code).body == "alive");
}

TEST_CASE("the plan's ini entries hold request after request") {
  Zygote zygote;
  Tenant tenant(61001);
  tenant.spawn().ini = {{"error_append_string", "plan-value-of-some-length", false},
                        {"user_agent", "plan/1.0", true}};
  tenant.start(zygote);
  tenant.wait_ready();
  for (int i = 0; i < 5; ++i) {
    CHECK(tenant.run("echo ini_get('error_append_string'), ini_get('user_agent');").body ==
          "plan-value-of-some-lengthplan/1.0");
    CHECK(tenant
              .run("ini_set('error_append_string', 'own'); ini_set('user_agent', 'own'); echo "
                   "ini_get('error_append_string'), ini_get('user_agent');")
              .body == "ownplan/1.0");
  }
}

TEST_CASE("random numbers differ from sandbox to sandbox") {
  Zygote zygote;
  Tenant alice(61001);
  Tenant bob(61002);
  alice.start(zygote);
  bob.start(zygote);
  alice.wait_ready();
  bob.wait_ready();
  const std::string code = "echo json_encode([mt_rand(), lcg_value(), rand(), random_int(0, PHP_INT_MAX)]);";
  const std::string first = alice.run(code).body;
  CHECK(first.size() > 20);
  CHECK(first != bob.run(code).body);
}

TEST_CASE("drain: the running request ends, then the keeper, with status 0") {
  Zygote zygote;
  Tenant tenant(61001);
  tenant.start(zygote);
  tenant.wait_ready();
  Request request;
  request.script = tenant.home().write("slow.php", "<?php touch('begun'); usleep(500000); echo 'whole';");
  const auto fd = connect_to(tenant.socket());
  REQUIRE(send_all(fd, request.wire()));
  REQUIRE(eventually([&] { return std::filesystem::exists(tenant.home().path() + "/begun"); }));
  SECTION("asked") {
    REQUIRE(tenant.link().send(keeper_link::Drain{10'000}));
  }
  SECTION("the supervisor has gone") {
    tenant.link().close();
  }
  CHECK(parse_response(receive_all(fd)).body == "whole");
  CHECK(tenant.wait_end().success());
}

TEST_CASE("drain: what takes longer than the patience is killed") {
  Zygote zygote;
  Tenant tenant(61001);
  tenant.start(zygote);
  tenant.wait_ready();
  Request request;
  request.script = tenant.home().write("endless.php", "<?php touch('begun'); while (true) sleep(1);");
  const auto fd = connect_to(tenant.socket());
  REQUIRE(send_all(fd, request.wire()));
  REQUIRE(eventually([&] { return std::filesystem::exists(tenant.home().path() + "/begun"); }));
  REQUIRE(tenant.link().send(keeper_link::Drain{100}));
  CHECK_FALSE(parse_response(receive_all(fd)).protocol_status);
  CHECK(tenant.wait_end().code == keeper_link::kBrokenOff);
}

TEST_CASE("an idle sandbox says so, again and again") {
  Zygote zygote;
  Tenant tenant(61001);
  tenant.spawn().idle_ms = 100;
  tenant.start(zygote);
  tenant.wait_ready();
  CHECK(tenant.run("echo 1;").body == "1");
  for (int i = 0; i < 2; ++i) {
    const auto packet = next_packet(tenant.link());
    REQUIRE(packet);
    const auto idle = packet->as<keeper_link::Idle>();
    REQUIRE(idle);
    CHECK(idle->requests <= 1);
  }
}

TEST_CASE("the zygote ends with its link, its sandboxes go on") {
  Zygote zygote;
  Tenant tenant(61001);
  tenant.start(zygote);
  tenant.wait_ready();
  zygote.link().close();
  ExitStatus status{true, 0};
  CHECK(eventually([&] {
    const auto reaped = zygote.child().try_reap();
    if (reaped && *reaped) status = **reaped;
    return !reaped || reaped->has_value();
  }));
  CHECK(status.success());
  CHECK(tenant.run("echo 'still';").body == "still");
}

TEST_CASE("what cannot be a sandbox is refused, and the next is made") {
  Zygote zygote;
  Tenant good(61001);
  auto bad = good.spawn();
  bad.request = 7;
  REQUIRE(zygote.link().send(bad));  // no descriptors
  const auto answer = zygote.answer();
  REQUIRE(answer);
  const auto failed = answer->as<zygote_link::SpawnFailed>();
  REQUIRE(failed);
  CHECK(failed->request == 7);
  good.start(zygote);
  good.wait_ready();
  CHECK(good.run("echo 'ok';").body == "ok");
}
