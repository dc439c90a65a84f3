#include "supervisor/tree_opener.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

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
std::string opened(const std::vector<std::string> &paths, milliseconds patience = milliseconds(10'000),
                   bool may_be_missing = false) {
  boost::asio::io_context io;
  std::vector<TreeRequest> requests;
  for (const auto &path : paths) requests.push_back({path, {}, may_be_missing});
  std::string outcome = "no call";
  std::shared_ptr<TreeOpener> opener;
  auto started = TreeOpener::start(
      io, requests,
      [&](Result<std::vector<UniqueFd>> trees) {
        outcome = trees ? trees->size() == paths.size() ? "ok" : "too few" : trees.error().message();
        for (std::size_t i = 0; trees && i < trees->size(); ++i)
          if (!(*trees)[i].valid()) outcome += " without " + std::to_string(i);
        opener.reset();
      },
      patience);
  REQUIRE(started.ok());
  opener = std::move(*started);
  io.run();  // until the child has been reaped as well
  return outcome;
}

}  // namespace

TEST_CASE("trees are opened by a child, all or none") {
  const Directory directory;
  CHECK(opened({directory.path, directory.path}) == "ok");
  CHECK_THAT(opened({directory.path, directory.path + "/missing"}),
             Catch::Matchers::Contains("missing: No such file or directory"));
}

TEST_CASE("a path that may be missing is opened where it is there") {
  const Directory directory;
  CHECK(opened({directory.path, directory.path + "/missing", directory.path, directory.path + "/gone"},
               milliseconds(10'000), true) == "ok without 1 without 3");
}

// A FUSE file system whose server never answers stands for a file server that is down.
TEST_CASE("a home whose file server does not answer costs the patience, not the supervisor") {
  const Directory directory;
  const UniqueFd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fuse.valid()) {
    WARN("no /dev/fuse here");
    return;
  }
  const std::string options =
      "fd=" + std::to_string(fuse.get()) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
  REQUIRE(::mount("hung", directory.path.c_str(), "fuse", 0, options.c_str()) == 0);
  const auto before = std::chrono::steady_clock::now();
  CHECK_THAT(opened({directory.path + "/home"}, milliseconds(200)),
             Catch::Matchers::Contains("no answer within 200 ms"));
  CHECK(std::chrono::steady_clock::now() - before >= milliseconds(200));
  CHECK(::umount2(directory.path.c_str(), MNT_DETACH) == 0);
}
