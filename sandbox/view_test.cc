// What a sandbox's file system shows, and what it does not.
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <unistd.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <set>
#include <sstream>

#include "base/file.h"
#include "sandbox/detached_tree.h"
#include "sandbox/test_sandbox.h"

using namespace paddock;
using namespace paddock::sandbox;
using Catch::Contains;

namespace {

std::string names_in(const std::string &path) {
  std::set<std::string> names;
  std::error_code failed;
  for (const auto &entry : std::filesystem::directory_iterator(path, failed))
    names.insert(entry.path().filename());
  std::string text;
  for (const auto &name : names) text += name + " ";
  return failed ? failed.message() : text;
}

std::string try_write(const std::string &path) {
  return answer(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

std::string try_read(const std::string &path) {
  const auto text = read_file(path);
  if (text) return *text;
  errno = text.error().code;
  return answer(-1);
}

void write_as(const std::string &path, const std::string &bytes, uid_t uid, mode_t mode) {
  REQUIRE(replace_file(path, bytes, mode).ok());
  REQUIRE(::chown(path.c_str(), uid, uid) == 0);
}

}  // namespace

TEST_CASE("the home is at its own path, and other homes do not exist") {
  const HostDirectory host;
  write_as(host.home + "/secret", "mine", kTenant, 0600);
  write_as(host.neighbour + "/open", "theirs", kNeighbour, 0644);
  const auto outcome = run(host.home, [&] {
    return try_read(host.home + "/secret") + "\n" + names_in(host.path) + "\n" +
           try_read(host.neighbour + "/open") + "\nroot: " + names_in("/") + "\nhome: " + names_in("/home");
  });
  CHECK(outcome.failure.empty());
  CHECK_THAT(outcome.said, Catch::StartsWith("mine\nalice \nENOENT\n"));
  CHECK_THAT(outcome.said, Catch::EndsWith("home: "));
  for (const char *hidden : {"root ", "boot ", "srv ", "sys ", "mnt ", "media ", "old "}) {
    const std::string listing = outcome.said.substr(outcome.said.find("root: ") + 5);
    CHECK_THAT(listing, !Contains(std::string(" ") + hidden));
  }
}

TEST_CASE("what tenants share is read-only") {
  const HostDirectory host;
  const auto outcome = run(host.home, [] {
    std::string text;
    for (const char *path : {"/x", "/usr/x", "/etc/x", "/etc/passwd", "/bin/x", "/lib/x", "/var/x", "/run/x",
                             "/home/x", "/dev/x", "/var/lib/x"})
      text += std::string(path) + " " + try_write(path) + "\n";
    text += "chmod " + answer(::chmod("/etc/passwd", 0666)) + "\n";
    text += "rmdir " + answer(::rmdir("/home")) + "\n";
    return text;
  });
  CHECK(outcome.failure.empty());
  std::istringstream lines(outcome.said);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    INFO(line);
    const bool refused = line.ends_with(" EROFS") || (line.starts_with("/dev") && line.ends_with(" EACCES"));
    CHECK(refused);
  }
  CHECK(count == 13);
}

TEST_CASE("the writable places are the tenant's, private and of bounded size") {
  const HostDirectory host;
  write_as("/tmp/" + std::filesystem::path(host.path).filename().string() + "/seen-by-host", "x", 0, 0644);
  const auto outcome = run(host.home, [] {
    std::string text;
    for (const char *directory : {"/tmp", "/var/tmp", "/dev/shm", "/var/lib/php/sessions"}) {
      struct stat status {};
      ::stat(directory, &status);
      char mode[16];
      std::snprintf(mode, sizeof mode, "%o", status.st_mode & 07777);
      text += std::string(directory) + " " + mode + " " + std::to_string(status.st_uid) + " " +
              try_write(std::string(directory) + "/file") + "\n";
    }
    // 4 MiB in all, wherever it is written.
    const std::string block(1 << 20, 'x');
    int written = 0;
    for (const char *path : {"/tmp/a", "/var/tmp/b", "/dev/shm/c"}) {
      const auto file = open_file(path, O_WRONLY | O_CREAT, 0600);
      for (int i = 0; i < 2 && write_all(*file, block); ++i) ++written;
    }
    text += "written " + std::to_string(written) + "\n";
    int inodes = 0;
    while (::mknod(("/tmp/n" + std::to_string(inodes)).c_str(), S_IFREG | 0600, 0) == 0 && inodes < 100'000)
      ++inodes;
    text += "inodes " + std::string(inodes < 3000 ? "bounded" : "unbounded") + "\n";
    return text;
  });
  CHECK(outcome.failure.empty());
  CHECK(outcome.said ==
        "/tmp 1777 54321 ok\n/var/tmp 1777 54321 ok\n/dev/shm 1777 54321 ok\n/var/lib/php/sessions 700 54321 "
        "ok\n"
        "written 3\ninodes bounded\n");
  CHECK(::access("/tmp/file", F_OK) != 0);
  // Of the host's /tmp a sandbox sees nothing; a home below it has its parents made, empty.
  const auto other = run(host.home, [] { return names_in("/tmp"); });
  CHECK(other.said == std::filesystem::path(host.path).filename().string() + " ");
}

TEST_CASE("passwd and group name the tenant and a few more") {
  const HostDirectory host;
  const auto outcome = run(host.home, [] {
    const passwd *own = ::getpwuid(kTenant);
    std::string text =
        own == nullptr ? "nobody" : std::string(own->pw_name) + " " + own->pw_dir + " " + own->pw_shell;
    const group *own_group = ::getgrgid(kTenant);
    text += own_group == nullptr ? " no group" : std::string(" ") + own_group->gr_name;
    text += ::getpwnam("root") != nullptr ? " root" : "";
    text += ::getpwnam("daemon") != nullptr ? " daemon" : "";
    return text + "\n" + *read_file("/etc/passwd");
  });
  CHECK(outcome.failure.empty());
  CHECK_THAT(outcome.said, Catch::StartsWith("alice " + host.home + " /bin/sh alice root\n"));
  CHECK_THAT(outcome.said, Contains("www-data:x:33:33:") && Contains("nobody:x:65534:"));
}

TEST_CASE("of /etc there is what programs need and no secret") {
  const HostDirectory host;
  const auto outcome = run(host.home, [] {
    std::string text = names_in("/etc") + "\n";
    for (const char *path : {"/etc/shadow", "/etc/gshadow", "/etc/ssl/private", "/etc/ssh", "/etc/sudoers",
                             "/etc/apache2", "/etc/machine-id"})
      text += std::string(path) + (::access(path, F_OK) == 0 ? " there\n" : " gone\n");
    for (const char *path : {"/etc/nsswitch.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt",
                             "/etc/ld.so.cache", "/etc/localtime", "/etc/mtab"})
      text += std::string(path) + (try_read(path).size() > 10 ? " good\n" : " missing\n");
    return text;
  });
  CHECK(outcome.failure.empty());
  CHECK_THAT(outcome.said, !Contains(" there"));
  CHECK_THAT(outcome.said, !Contains(" missing"));
}

TEST_CASE("no link of the copied /etc dangles that does not on the host") {
  const HostDirectory host;
  const auto outcome = run(host.home, [] {
    std::string text;
    for (const auto &entry : std::filesystem::recursive_directory_iterator("/etc"))
      if (entry.is_symlink() && !std::filesystem::exists(entry.path())) text += entry.path().string() + "\n";
    return text;
  });
  CHECK(outcome.failure.empty());
  CHECK(outcome.said.empty());
}

TEST_CASE("devices are the six, and they work") {
  const HostDirectory host;
  const auto outcome = run(host.home, [] {
    std::string text = names_in("/dev") + "\n";
    char bytes[4] = {1, 1, 1, 1};
    const UniqueFd zero = *open_file("/dev/zero", O_RDONLY);
    text += std::to_string(::read(zero.get(), bytes, 4));
    text += std::to_string(bytes[3]);
    const UniqueFd null = *open_file("/dev/null", O_RDWR);
    text += std::to_string(::write(null.get(), "xx", 2));
    const UniqueFd urandom = *open_file("/dev/urandom", O_RDONLY);
    text += std::to_string(::read(urandom.get(), bytes, 4));
    const UniqueFd full = *open_file("/dev/full", O_WRONLY);
    text += answer(::write(full.get(), "x", 1));
    return text;
  });
  CHECK(outcome.failure.empty());
  CHECK(outcome.said == "fd full null random shm stderr stdin stdout tty urandom zero \n4024ENOSPC");
}

TEST_CASE("device nodes and set-user-ID bits of a home do nothing") {
  const HostDirectory host;
  REQUIRE(::mknod((host.home + "/zero").c_str(), S_IFCHR | 0666, makedev(1, 5)) == 0);
  REQUIRE(::chmod((host.home + "/zero").c_str(), 0666) == 0);
  const auto outcome = run(host.home, [&] {
    struct statvfs status {};
    ::statvfs(host.home.c_str(), &status);
    return try_read(host.home + "/zero") + ((status.f_flag & ST_NOSUID) != 0 ? " nosuid" : " suid");
  });
  CHECK(outcome.said == "EACCES nosuid");
}

TEST_CASE("kernel-wide files of /proc are hidden or read-only") {
  const HostDirectory host;
  const auto outcome = run(host.home, [] {
    std::string text;
    for (const char *path :
         {"/proc/cmdline", "/proc/kallsyms", "/proc/modules", "/proc/keys", "/proc/interrupts"})
      if (::access(path, F_OK) == 0 && try_read(path) != "") text += std::string(path) + " told something\n";
    for (const char *path : {"/proc/fs", "/proc/bus", "/proc/acpi", "/proc/irq"})
      if (::access(path, F_OK) == 0 && names_in(path) != "")
        text += std::string(path) + " listed something\n";
    for (const char *path : {"/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches",
                             "/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/core_pattern"})
      text += std::string(path) + " " + answer(::open(path, O_WRONLY)) + "\n";
    text += "meminfo " + std::string(try_read("/proc/meminfo").size() > 100 ? "good" : "missing") + "\n";
    return text;
  });
  CHECK(outcome.failure.empty());
  std::istringstream lines(outcome.said);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK((line.ends_with(" EROFS") || line.ends_with(" EACCES") || line == "meminfo good"));
  }
}

TEST_CASE("binds are where the spec says, writable or not") {
  const HostDirectory host;
  const std::string shared = host.path + "/shared";
  REQUIRE(::mkdir(shared.c_str(), 0777) == 0);
  REQUIRE(::chmod(shared.c_str(), 0777) == 0);
  write_as(shared + "/file", "content", 0, 0644);
  const auto read_only = open_detached_tree(shared, {.writable = false});
  const auto writable = open_detached_tree(shared, {});
  const auto file = open_detached_tree(shared + "/file", {.directory = false, .writable = false});
  const auto in_home = open_detached_tree(shared, {.writable = false});
  REQUIRE((read_only.ok() && writable.ok() && file.ok() && in_home.ok()));
  const auto outcome = run(
      host.home,
      [&] {
        return try_read("/srv/deep/er/file") + " " + try_write("/srv/deep/er/new") + "\n" +
               try_write("/srv/rw/new") + "\n" + try_read("/run/service/file") + "\n" +
               try_read(host.home + "/lib/shared/file") + "\n";
      },
      [&](SandboxSpec &spec) {
        spec.binds.push_back({*in_home, host.home + "/lib/shared"});
        spec.binds.push_back({*read_only, "/srv/deep/er"});
        spec.binds.push_back({*writable, "/srv/rw"});
        spec.binds.push_back({*file, "/run/service/file"});
      });
  CHECK(outcome.failure.empty());
  CHECK(outcome.said == "content EROFS\nok\ncontent\ncontent\n");
  struct stat made {};
  REQUIRE(::stat((shared + "/new").c_str(), &made) == 0);
  CHECK(made.st_uid == kTenant);
  REQUIRE(::stat((host.home + "/lib/shared").c_str(), &made) == 0);
  CHECK(made.st_uid == kTenant);
}

TEST_CASE("a writable bind makes sessions outlive the sandbox") {
  const HostDirectory host;
  const std::string sessions = host.path + "/sessions";
  REQUIRE(::mkdir(sessions.c_str(), 0700) == 0);
  REQUIRE(::chown(sessions.c_str(), kTenant, kTenant) == 0);
  const auto tree = open_detached_tree(sessions, {.owner = kTenant});
  REQUIRE(tree.ok());
  const auto outcome = run(
      host.home, [] { return try_write("/var/lib/php/sessions/sess_1"); },
      [&](SandboxSpec &spec) {
        spec.binds.push_back({*tree, "/var/lib/php/sessions"});
      });
  CHECK(outcome.said == "ok");
  CHECK(::access((sessions + "/sess_1").c_str(), F_OK) == 0);
}

TEST_CASE("a service's socket can be shown by binding its directory") {
  const HostDirectory host;
  const std::string service = host.path + "/mysqld";
  REQUIRE(::mkdir(service.c_str(), 0755) == 0);
  const UniqueFd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s/mysqld.sock", service.c_str());
  REQUIRE(::bind(server.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
  REQUIRE(::chmod(address.sun_path, 0777) == 0);
  REQUIRE(::listen(server.get(), 1) == 0);
  const auto tree = open_detached_tree(service, {.writable = false});
  REQUIRE(tree.ok());
  const auto outcome = run(
      host.home,
      [] {
        const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un there{AF_UNIX, "/run/mysqld/mysqld.sock"};
        return answer(::connect(client.get(), reinterpret_cast<sockaddr *>(&there), sizeof there));
      },
      [&](SandboxSpec &spec) {
        spec.binds.push_back({*tree, "/run/mysqld"});
      });
  CHECK(outcome.failure.empty());
  CHECK(outcome.said == "ok");
}

TEST_CASE("a link in the home cannot place a bind outside the view") {
  const HostDirectory host;
  // The zygote's /proc still exists while the view is built; a link through it would lead to the host.
  REQUIRE(::symlink("/proc/1/root/tmp", (host.home + "/escape").c_str()) == 0);
  const std::string shared = host.path + "/shared";
  REQUIRE(::mkdir(shared.c_str(), 0755) == 0);
  const auto tree = open_detached_tree(shared, {});
  REQUIRE(tree.ok());
  const auto outcome = run(
      host.home, [] { return std::string("ran"); },
      [&](SandboxSpec &spec) {
        spec.binds.push_back(
            {*tree, host.home + "/escape/" + std::filesystem::path(host.path).filename().string() + "-x"});
      });
  CHECK_THAT(outcome.failure, Contains("bind " + host.home + "/escape/"));
  CHECK(outcome.said.empty());
  CHECK(::access((host.path + "-x").c_str(), F_OK) != 0);
}

TEST_CASE("further paths of the base view are shown to every tenant, read-only") {
  const HostDirectory host;
  const std::string extra = host.path + "/opt/php";
  REQUIRE(make_directories(extra, 0755).ok());
  write_as(extra + "/file", "extra", 0, 0644);
  BaseViewOptions options;
  options.paths = {extra};
  options.etc_paths = {"debian_version"};
  const auto said = in_base_view(
      [&](const BaseView &) { return try_read(extra + "/file") + " " + try_write(extra + "/new"); }, options);
  CHECK(said == "extra EROFS");
  options.paths = {"/no/such/path"};
  CHECK_THAT(in_base_view([](const BaseView &) { return std::string(); }, options),
             Contains("show /no/such/path in the base view: No such file"));
  options.paths.clear();
  options.etc_paths = {"../root"};
  CHECK_THAT(in_base_view([](const BaseView &) { return std::string(); }, options), Contains("base view: "));
}

TEST_CASE("the zygote itself sees no home and no secret of the host") {
  const HostDirectory host;
  const std::string before = mounts();
  const auto said = in_base_view([&](const BaseView &) {
    std::string text = names_in("/");
    for (const std::string &path : {std::string("/etc/shadow"), std::string("/root"), host.home,
                                    std::string("/var/lib"), std::string("/work"), std::string("/boot")})
      if (::access(path.c_str(), F_OK) == 0) text += "\n" + path + " is there";
    text += "\n" + try_write("/x") + " " + try_write("/etc/x") + " " + try_write("/usr/x") + " " +
            try_write("/dev/x");
    std::istringstream lines(mounts());
    int count = 0;
    for (std::string line; std::getline(lines, line);) ++count;
    return text + "\nmounts: " + (count <= 6 ? "few" : std::to_string(count));
  });
  CHECK_THAT(said, !Contains("is there"));
  CHECK_THAT(said, Contains("\nEROFS EROFS EROFS EROFS\n"));
  CHECK_THAT(said, Contains("mounts: few"));
  CHECK(mounts() == before);
}
