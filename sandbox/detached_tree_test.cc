#include "sandbox/detached_tree.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include "base/file.h"
#include "sandbox/test_sandbox.h"

using namespace paddock;
using namespace paddock::sandbox;
using Catch::Contains;

namespace {

std::string failure(const std::string &path, const TreeRules &rules) {
  const auto tree = open_detached_tree(path, rules);
  return tree ? "none" : tree.error().message();
}

unsigned long flags_of(BorrowedFd tree) {
  struct statvfs status {};
  REQUIRE(::fstatvfs(tree.get(), &status) == 0);
  return status.f_flag;
}

}  // namespace

TEST_CASE("a detached tree shows the directory, without devices and set-user-ID") {
  const HostDirectory host;
  const std::string before = mounts();
  {
    REQUIRE(replace_file(host.home + "/file", "text", 0644).ok());
    const auto tree = open_detached_tree(host.home, {.owner = kTenant});
    REQUIRE(tree.ok());
    CHECK(*read_at(*tree, "file") == "text");
    CHECK((flags_of(*tree) & ST_NOSUID) != 0);
    CHECK((flags_of(*tree) & ST_NODEV) != 0);
    CHECK((flags_of(*tree) & ST_RDONLY) == 0);
    const auto read_only = open_detached_tree(host.home, {.writable = false});
    REQUIRE(read_only.ok());
    CHECK((flags_of(*read_only) & ST_RDONLY) != 0);
    CHECK(open_at(*read_only, "new", O_WRONLY | O_CREAT, 0600).error().code == EROFS);
    const auto loose = open_detached_tree(host.home, {.noexec = true, .nosuid = false, .nodev = false});
    REQUIRE(loose.ok());
    CHECK((flags_of(*loose) & ST_NOEXEC) != 0);
    struct statvfs status {};
    REQUIRE(::statvfs(host.home.c_str(), &status) == 0);
    CHECK((flags_of(*loose) & (ST_NOSUID | ST_NODEV)) == (status.f_flag & (ST_NOSUID | ST_NODEV)));
  }
  CHECK(mounts() == before);
}

TEST_CASE("mounts below the path come along, with the same restrictions") {
  const HostDirectory host;
  const std::string below = host.home + "/below";
  REQUIRE(::mkdir(below.c_str(), 0755) == 0);
  REQUIRE(::mount("paddock-test", below.c_str(), "tmpfs", 0, "size=64k") == 0);
  REQUIRE(replace_file(below + "/file", "deep", 0644).ok());
  {
    const auto tree = open_detached_tree(host.home, {.writable = false});
    CHECK(tree.ok());
    CHECK(*read_at(*tree, "below/file") == "deep");
    const auto inner = open_at(*tree, "below", O_RDONLY | O_DIRECTORY);
    CHECK(inner.ok());
    CHECK((flags_of(*inner) & (ST_NOSUID | ST_NODEV | ST_RDONLY)) == (ST_NOSUID | ST_NODEV | ST_RDONLY));
  }
  CHECK(::umount2(below.c_str(), 0) == 0);
}

TEST_CASE("what the host mounts below a home later appears in a running sandbox, and goes with it") {
  const HostDirectory host;
  // As systemd has all mounts of a host: shared.
  REQUIRE(::mount("paddock-test", host.path.c_str(), "tmpfs", 0, "mode=755") == 0);
  REQUIRE(::mount(nullptr, host.path.c_str(), nullptr, MS_SHARED, nullptr) == 0);
  const std::string late = host.home + "/late";
  REQUIRE(::mkdir(host.home.c_str(), 0700) == 0);
  REQUIRE(::chown(host.home.c_str(), kTenant, kTenant) == 0);
  REQUIRE(::mkdir(late.c_str(), 0755) == 0);
  const auto appears = [&](const std::string &file, bool there) {
    for (int i = 0; i < 1000 && (::access(file.c_str(), F_OK) == 0) != there; ++i) ::usleep(10'000);
    return (::access(file.c_str(), F_OK) == 0) == there;
  };
  const pid_t automounter = ::fork();
  if (automounter == 0) {
    bool fine = appears(host.home + "/ready", true) &&
                ::mount("late", late.c_str(), "tmpfs", 0, "mode=755") == 0 &&
                replace_file(late + "/file", "late", 0644).ok();
    fine = fine && appears(host.home + "/seen", true) && ::umount2(late.c_str(), 0) == 0;
    ::_exit(fine ? 0 : 1);
  }
  const auto outcome = run(host.home, [&]() -> std::string {
    if (!replace_file(host.home + "/ready", "", 0644)) return "cannot write";
    if (!appears(late + "/file", true)) return "never appeared";
    if (!replace_file(host.home + "/seen", "", 0644)) return "cannot write";
    return appears(late + "/file", false) ? "came and went" : "never went";
  });
  CHECK(outcome.failure.empty());
  CHECK(outcome.said == "came and went");
  int status = 0;
  CHECK(::waitpid(automounter, &status, 0) == automounter);
  CHECK(status == 0);
  CHECK(::umount2(host.path.c_str(), MNT_DETACH) == 0);
}

TEST_CASE("what is no home is refused with the reason") {
  const HostDirectory host;
  REQUIRE(replace_file(host.home + "/file", "text", 0644).ok());
  CHECK_THAT(failure("relative", {}), Contains("not absolute"));
  CHECK_THAT(failure(host.path + "/carol", {}), Contains(host.path + "/carol: No such file or directory"));
  CHECK_THAT(failure(host.home + "/file", {}), Contains("it is no directory"));
  CHECK(failure(host.home + "/file", {.directory = false}) == "none");
  CHECK_THAT(failure(host.home + "/file/x", {}), Contains("is no directory"));
  CHECK_THAT(failure(host.neighbour, {.owner = kTenant}),
             Contains("it belongs to uid 54322, not to uid 54321 or root"));
  CHECK(failure("/usr", {.owner = kTenant}) == "none");
}

TEST_CASE("links are followed only where root alone could have made them") {
  const HostDirectory host;
  // Root's, as /home -> /srv/home is.
  REQUIRE(::symlink(host.home.c_str(), (host.path + "/link").c_str()) == 0);
  CHECK(failure(host.path + "/link", {.owner = kTenant}) == "none");
  // In a directory of the tenant's, whoever owns the link.
  REQUIRE(::symlink("/root", (host.home + "/link").c_str()) == 0);
  CHECK_THAT(failure(host.home + "/link", {.owner = kTenant}),
             Contains("symbolic link that others than root can make"));
  CHECK_THAT(failure(host.home + "/link/x", {}), Contains("symbolic link that others than root can make"));
  // In a directory that all may write to, made by somebody else.
  const std::string open = host.path + "/open";
  REQUIRE(::mkdir(open.c_str(), 0777) == 0);
  REQUIRE(::chmod(open.c_str(), 01777) == 0);
  REQUIRE(::symlink("/root", (open + "/link").c_str()) == 0);
  CHECK(failure(open + "/link", {}) == "none");
  REQUIRE(::lchown((open + "/link").c_str(), kTenant, kTenant) == 0);
  CHECK_THAT(failure(open + "/link", {}), Contains("symbolic link"));
  REQUIRE(::symlink("loop", (host.path + "/loop").c_str()) == 0);
  CHECK_THAT(failure(host.path + "/loop", {}), Contains("too many symbolic links"));
}
