#include "supervisor/tree_opener.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <iterator>

#include "base/file.h"

using namespace paddock;
using namespace paddock::supervisor;
using std::chrono::milliseconds;

namespace {

struct Directory {
  std::string path = "/tmp/paddock-trees-XXXXXX";
  Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
};

// What came of opening `paths`: "ok" and which are missing, or the error.
std::string opened(const OpenerProcess *process, const std::vector<std::string> &paths,
                   milliseconds patience = milliseconds(10'000), bool may_be_missing = false) {
  boost::asio::io_context io;
  OpenTrees order;
  for (const auto &path : paths) order.requests.push_back({path, {}, may_be_missing});
  std::string outcome = "no call";
  std::shared_ptr<TreeOpener> opener;
  auto started = TreeOpener::start(io, process, std::move(order), patience);
  REQUIRE(started.ok());
  opener = std::move(*started);
  opener->then([&](Result<std::vector<UniqueFd>> trees) {
    outcome = trees ? trees->size() == paths.size() ? "ok" : "too few" : trees.error().message();
    for (std::size_t i = 0; trees && i < trees->size(); ++i)
      if (!(*trees)[i].valid()) outcome += " without " + std::to_string(i);
    opener.reset();
  });
  io.run();  // until the child has been reaped as well
  return outcome;
}

std::ptrdiff_t entries_of(const std::string &directory) {
  return std::distance(std::filesystem::directory_iterator(directory), {});
}

}  // namespace

TEST_CASE("trees are opened by a child, all or none") {
  const Directory directory;
  auto process = OpenerProcess::start();
  REQUIRE(process.ok());
  for (const OpenerProcess *by : std::initializer_list<const OpenerProcess *>{nullptr, &*process}) {
    CHECK(opened(by, {directory.path, directory.path}) == "ok");
    CHECK_THAT(opened(by, {directory.path, directory.path + "/missing"}),
               Catch::Matchers::Contains("missing: No such file or directory"));
    // A path that may be missing is opened where it is there.
    CHECK(opened(by, {directory.path, directory.path + "/missing", directory.path, directory.path + "/gone"},
                 milliseconds(10'000), true) == "ok without 1 without 3");
  }
  // It needs nothing of what its parent has open, and ends with its link.
  const Child child = process->take_child();
  CHECK(entries_of("/proc/" + std::to_string(child.pid()) + "/fd") == 4);
  process = Error{"dropped"};
  pollfd ended{child.pidfd().get(), POLLIN, 0};
  CHECK(::poll(&ended, 1, 10'000) == 1);
  CHECK(child.try_reap()->has_value());
}

TEST_CASE("trees are opened where the process for that has gone") {
  const Directory directory;
  auto process = OpenerProcess::start();
  REQUIRE(process.ok());
  const Child child = process->take_child();
  REQUIRE(child.signal(SIGKILL).ok());
  pollfd ended{child.pidfd().get(), POLLIN, 0};
  REQUIRE(::poll(&ended, 1, 10'000) == 1);
  CHECK(opened(&*process, {directory.path}) == "ok");
  CHECK(child.try_reap()->has_value());
}

TEST_CASE("a rule for the owner reaches whoever opens") {
  const Directory directory;
  const auto process = OpenerProcess::start();
  REQUIRE(process.ok());
  auto ends = MessageSocket::pair();
  REQUIRE(ends.ok());
  REQUIRE(::chown(directory.path.c_str(), 4711, 4711) == 0);
  for (const uid_t owner : {4711U, 4712U}) {
    OpenTrees order;
    order.requests = {{directory.path, {.writable = false, .owner = owner}}};
    order.patience_s = 10;
    REQUIRE(process->open(order, ends->second).ok());
    const auto packet = ends->first.receive();
    REQUIRE((packet.ok() && packet->has_value()));
    const auto answer = (*packet)->as<Opened>();
    REQUIRE(answer.ok());
    INFO(answer->attempt);
    CHECK(answer->attempt.empty() == (owner == 4711U));
    if (!answer->attempt.empty()) continue;
    REQUIRE((*packet)->fds.size() == 1);
    struct statvfs found {};
    REQUIRE(::fstatvfs((*packet)->fds[0].get(), &found) == 0);
    CHECK((found.f_flag & ST_RDONLY) != 0);
  }
}

// A FUSE file system whose server never answers stands for a file server that is down.
TEST_CASE("a home whose file server does not answer costs the patience, not the supervisor") {
  const Directory directory;
  const UniqueFd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fuse.valid()) {
    WARN("no /dev/fuse here");
    return;
  }
  const auto process = OpenerProcess::start();
  REQUIRE(process.ok());
  const std::string options =
      "fd=" + std::to_string(fuse.get()) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
  REQUIRE(::mount("hung", directory.path.c_str(), "fuse", 0, options.c_str()) == 0);
  for (const OpenerProcess *by : std::initializer_list<const OpenerProcess *>{nullptr, &*process}) {
    const auto before = std::chrono::steady_clock::now();
    CHECK_THAT(opened(by, {directory.path + "/home"}, milliseconds(200)),
               Catch::Matchers::Contains("no answer within 200 ms"));
    CHECK(std::chrono::steady_clock::now() - before >= milliseconds(200));
  }
  // Meanwhile it opens what others ask for.
  const Directory another;
  CHECK(opened(&*process, {another.path}) == "ok");
  CHECK(::umount2(directory.path.c_str(), MNT_DETACH) == 0);
}
