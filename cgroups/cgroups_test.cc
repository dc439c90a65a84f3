#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <sstream>

#include "base/file.h"
#include "base/process.h"
#include "cgroups/hierarchy.h"
#include "cgroups/settings.h"

using namespace paddock;
using namespace paddock::cgroups;
using namespace std::chrono_literals;

namespace {

std::string unique_base() {
  static std::atomic<int> count{0};
  return "paddock-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
}

template <typename T>
T good(Result<T> result) {
  if (!result) FAIL(result.error().message());
  return std::move(result).value();
}
void good(const Result<void> &result) {
  if (!result) FAIL(result.error().message());
}

// A hierarchy of the test's own; killed and removed at the end.
class TestHierarchy {
 public:
  TestHierarchy() : base(unique_base()), hierarchy(good(Hierarchy::open(base))) {}
  ~TestHierarchy() {
    const auto names = hierarchy.leftovers();
    for (const auto &name : *names)
      if (const auto left = hierarchy.tenant(name)) (void)left->kill_and_remove();
    if (const auto removed = hierarchy.remove(); !removed) WARN(removed.error().message());
  }
  TestHierarchy(const TestHierarchy &) = delete;
  TestHierarchy &operator=(const TestHierarchy &) = delete;

  std::string base;
  Hierarchy hierarchy;
};

// A child process in the cgroup, by fork and attach; it is waited for at the end.
class Process {
 public:
  Process(const Cgroup &cgroup, const std::function<void()> &action) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      char byte = 0;
      writer.reset();
      if (::read(reader.get(), &byte, 1) == 1) action();
      ::_exit(0);
    }
    good(cgroup.attach(pid_));
    REQUIRE(::write(writer.get(), "x", 1) == 1);
  }
  ~Process() {
    if (!reaped_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process &) = delete;
  Process &operator=(const Process &) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    reaped_ = true;
    return status;
  }

 private:
  pid_t pid_ = 0;
  bool reaped_ = false;
};

void sleep_forever() {
  for (;;) ::pause();
}

bool in_vm() {
  return ::getenv("PADDOCK_IN_VM") != nullptr;
}

// False (said aloud) on a host without the v2 controllers; in the test VM their absence is a failure.
bool has_controllers(const Hierarchy &hierarchy) {
  if (hierarchy.missing_controllers().empty()) return true;
  std::string missing;
  for (const auto &name : hierarchy.missing_controllers()) missing += " " + name;
  if (in_vm()) FAIL("the VM lacks controllers:" << missing);
  WARN("SKIPPED: cgroup v2 has no controllers here:" << missing);
  return false;
}

std::string exists(const Hierarchy &hierarchy, const std::string &path) {
  return ::access((hierarchy.host().mount + path).c_str(), F_OK) == 0 ? "there" : "gone";
}

// The directories of all v1 hierarchies.
std::vector<std::string> v1_directories() {
  std::vector<std::string> mounts;
  std::istringstream lines(*read_file("/proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);)
    if (line.find(" - cgroup ") != std::string::npos) {
      std::istringstream words(line);
      std::string word;
      for (int i = 0; i < 5; ++i) words >> word;
      mounts.push_back(word);
    }
  std::vector<std::string> found;
  for (const auto &mount : mounts)
    for (const auto &entry : std::filesystem::recursive_directory_iterator(
             mount, std::filesystem::directory_options::skip_permission_denied))
      if (entry.is_directory()) found.push_back(entry.path());
  return found;
}

}  // namespace

TEST_CASE("the host's layout is found") {
  const auto host = good(HostLayout::detect());
  struct stat status {};
  REQUIRE_FALSE(host.mount.empty());
  CHECK(::stat((host.mount + "/cgroup.procs").c_str(), &status) == 0);
  CHECK(host.hybrid == (read_file("/proc/self/mountinfo")->find(" - cgroup ") != std::string::npos));
  if (in_vm()) CHECK_FALSE(host.hybrid);
}

TEST_CASE("a named hierarchy is made, found again and removed") {
  const std::string base = unique_base();
  const std::string before = *read_file("/proc/self/cgroup");
  auto hierarchy = good(Hierarchy::open(base));
  CHECK(hierarchy.base_path() == "/" + base);
  for (const char *part : {"/supervisor", "/gateway", "/zygote", "/dashboard", "/mail", "/tenants"})
    CHECK(exists(hierarchy, "/" + base + part) == "there");
  CHECK(read_file("/proc/self/cgroup")->find("0::/" + base + "/supervisor\n") != std::string::npos);
  CHECK(good(hierarchy.supervisor().processes()) == std::vector<pid_t>{::getpid()});

  const auto again = good(Hierarchy::open(base));
  CHECK(again.base_path() == hierarchy.base_path());
  // As a supervisor sees it that is started from within.
  const auto inherited = good(Hierarchy::open(""));
  CHECK(inherited.base_path() == hierarchy.base_path());

  good(hierarchy.remove());
  CHECK(exists(hierarchy, "/" + base) == "gone");
  CHECK(read_file("/proc/self/cgroup")->find(base) == std::string::npos);
  CHECK(*read_file("/proc/self/cgroup") == before);
}

TEST_CASE("names that are no single path component are refused") {
  const TestHierarchy test;
  for (const std::string name : {"", ".", "..", "a/b", "a\nb"}) {
    const auto cgroup = test.hierarchy.tenant(name);
    REQUIRE_FALSE(cgroup.ok());
    CHECK(cgroup.error().code == EINVAL);
  }
  const std::string other = unique_base();
  CHECK(Hierarchy::open(other + "/../b").error().code == EINVAL);
  CHECK(exists(test.hierarchy, "/" + other) == "gone");
}

TEST_CASE("a process is attached and listed, and a populated cgroup is not removed") {
  const TestHierarchy test;
  const auto alice = good(test.hierarchy.tenant("alice"));
  CHECK(alice.path() == "/" + test.base + "/tenants/alice");
  CHECK_FALSE(good(alice.populated()));
  Process sleeper(alice, sleep_forever);
  CHECK(good(alice.processes()) == std::vector<pid_t>{sleeper.pid()});
  CHECK(good(alice.populated()));

  const auto removed = alice.remove(50ms);
  REQUIRE_FALSE(removed.ok());
  CHECK(removed.error().code == ETIMEDOUT);
  CHECK(removed.error().message().find("alice") != std::string::npos);

  const UniqueFd events = good(alice.open_events());
  char text[128];
  REQUIRE(::pread(events.get(), text, sizeof text, 0) > 0);
  good(alice.kill());
  pollfd changed{events.get(), POLLPRI, 0};
  CHECK(::poll(&changed, 1, 5000) == 1);
  CHECK((changed.revents & POLLPRI) != 0);
  const int status = sleeper.wait();
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  good(alice.wait_unpopulated(5s));
  good(alice.remove());
  CHECK(exists(test.hierarchy, alice.path()) == "gone");
  good(alice.remove());  // gone already
}

TEST_CASE("attaching a process that does not exist names it") {
  const TestHierarchy test;
  const auto alice = good(test.hierarchy.tenant("alice"));
  const auto attached = alice.attach(0x3fffffff);
  REQUIRE_FALSE(attached.ok());
  CHECK(attached.error().code == ESRCH);
  CHECK(attached.error().message().find("1073741823") != std::string::npos);
}

TEST_CASE("a tree that keeps forking is killed whole, nested cgroups included") {
  const TestHierarchy test;
  const auto alice = good(test.hierarchy.tenant("alice"));
  const std::string nested = test.hierarchy.host().mount + alice.path() + "/nested";
  REQUIRE(::mkdir(nested.c_str(), 0755) == 0);
  REQUIRE(::mkdir((nested + "/deeper").c_str(), 0755) == 0);
  Process forker(alice, [] {
    // Each generation replaces itself for as long as it lives, three at a time, orphans and all. Bounded by
    // time, in case the kill does not work.
    ::signal(SIGCHLD, SIG_IGN);
    ::alarm(20);
    for (int wide = 0; wide < 2; ++wide) ::fork();
    for (;;) {
      const pid_t child = ::fork();
      if (child > 0) ::_exit(0);
      if (child == 0) ::alarm(20);
    }
  });
  Process sleeper(alice, sleep_forever);
  REQUIRE(::kill(sleeper.pid(), 0) == 0);
  good(write_value_at(BorrowedFd(AT_FDCWD), nested + "/deeper/cgroup.procs", std::to_string(sleeper.pid())));
  ::usleep(50'000);
  CHECK(good(alice.populated()));
  const auto all = good(alice.all_processes());
  CHECK(std::find(all.begin(), all.end(), sleeper.pid()) != all.end());
  const auto own = good(alice.processes());
  CHECK(std::find(own.begin(), own.end(), sleeper.pid()) == own.end());

  good(alice.kill());
  sleeper.wait();
  forker.wait();
  good(alice.wait_unpopulated(5s));
  CHECK(good(alice.all_processes()).empty());
  good(alice.remove());
  CHECK(exists(test.hierarchy, alice.path()) == "gone");
}

TEST_CASE("frozen processes stand still, and can be killed") {
  const TestHierarchy test;
  const auto alice = good(test.hierarchy.tenant("alice"));
  auto *counter = static_cast<std::atomic<std::uint64_t> *>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(counter != MAP_FAILED);
  Process spinner(alice, [counter] {
    for (;;) ++*counter;
  });
  const auto advances = [counter] {
    const std::uint64_t before = *counter;
    for (int i = 0; i < 500; ++i) {
      ::usleep(10'000);
      if (*counter != before) return true;
    }
    return false;
  };
  CHECK(advances());
  CHECK_FALSE(good(alice.frozen()));
  good(alice.freeze(5s));
  CHECK(good(alice.frozen()));
  const std::uint64_t at_freeze = *counter;
  ::usleep(50'000);
  CHECK(*counter == at_freeze);
  good(alice.thaw());
  CHECK(advances());

  good(alice.freeze(5s));
  good(alice.kill());
  spinner.wait();
  good(alice.wait_unpopulated(5s));
  ::munmap(counter, 4096);
}

TEST_CASE("the CPU that a cgroup used is counted") {
  const TestHierarchy test;
  const auto alice = good(test.hierarchy.tenant("alice"));
  const auto before = good(alice.stats());
  REQUIRE(before.cpu);
  Process worker(alice, [] {
    timespec used{};
    do {
      ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    } while (used.tv_sec == 0 && used.tv_nsec < 200'000'000);
  });
  worker.wait();
  const auto after = good(alice.stats());
  const auto used = after.cpu->usage_us - before.cpu->usage_us;
  CHECK(used >= 190'000);
  CHECK(used <= 600'000);
  CHECK(after.cpu->user_us + after.cpu->system_us ==
        Approx(static_cast<double>(after.cpu->usage_us)).margin(2000));
  CHECK(after.memory.has_value() == (in_vm() || test.hierarchy.missing_controllers().empty()));
}

TEST_CASE("the statistics of a removed cgroup are an error") {
  const TestHierarchy test;
  const auto alice = good(test.hierarchy.tenant("alice"));
  good(alice.remove());
  CHECK(alice.stats().error().code == ENODEV);
}

TEST_CASE("a handle is not mistaken for a cgroup of the same name that came later") {
  const TestHierarchy test;
  const auto first = good(test.hierarchy.tenant("alice"));
  good(first.remove());
  const auto second = good(test.hierarchy.tenant("alice"));
  Process sleeper(second, sleep_forever);
  good(first.kill_and_remove());
  CHECK(good(second.populated()));
  CHECK(exists(test.hierarchy, second.path()) == "there");
}

TEST_CASE("what a dead supervisor left is found, killed and removed") {
  const TestHierarchy test;
  {
    const auto alice = good(test.hierarchy.tenant("alice"));
    const auto bob = good(test.hierarchy.tenant("bob"));
    CHECK(good(test.hierarchy.leftovers()) == std::vector<std::string>{"alice", "bob"});
    Process sleeper(alice, sleep_forever);
    // The handles are gone, the cgroups are not: as after SIGKILL.
    const auto later = good(Hierarchy::open(test.base));
    const auto names = good(later.leftovers());
    for (const auto &name : names) {
      const auto left = good(later.tenant(name));
      good(left.kill());
      if (name == "alice") sleeper.wait();
      good(left.kill_and_remove());
    }
    CHECK(good(later.leftovers()).empty());
  }
}

TEST_CASE("the v1 hierarchies are left alone") {
  const auto before = v1_directories();
  {
    const TestHierarchy test;
    const auto alice = good(test.hierarchy.tenant("alice"));
    const std::string own_before = *read_file("/proc/self/cgroup");
    good(alice.set_limits({.memory_max = 64 << 20, .pids_max = 10}));
    Process sleeper(alice, sleep_forever);
    for (const auto &directory : v1_directories())
      CHECK(directory.find("paddock-test-" + std::to_string(::getpid())) == std::string::npos);
    good(alice.kill());
  }
  if (before.empty()) WARN("no v1 hierarchy is mounted here");
}

TEST_CASE("limits become what the kernel's files take") {
  // A directory that looks like a cgroup with every controller, with what a fresh one says.
  char name[] = "/tmp/paddock-cgroups-XXXXXX";
  REQUIRE(::mkdtemp(name) != nullptr);
  const std::string path = name;
  const std::pair<const char *, const char *> files[] = {
      {"cgroup.controllers", "cpu io memory pids\n"},
      {"cpu.max", "max 100000\n"},
      {"cpu.weight", "100\n"},
      {"memory.high", "max\n"},
      {"memory.max", "1048576\n"},
      {"memory.swap.max", "max\n"},
      {"pids.max", "max\n"},
      {"io.max", "7:1 rbps=max wbps=1000 riops=max wiops=max\n"},
  };
  for (const auto &[file, text] : files) good(replace_file(path + "/" + file, text, 0644));
  const UniqueFd directory = good(open_file(path, O_RDONLY | O_DIRECTORY));

  Limits limits;
  limits.cpu_percent = 150;
  limits.memory_max = 2 << 20;
  limits.pids_max = 7;
  std::string text;
  const auto writes = good(plan_settings(directory, limits));
  for (const auto &setting : writes)
    text += setting.file + "=" + setting.value + " was " + setting.previous + "\n";
  CHECK(text ==
        "cpu.max=150000 100000 was max 100000\n"
        "pids.max=7 was max\n"
        "memory.max=2097152 was 1048576\n"
        "io.max=7:1 rbps=max wbps=max riops=max wiops=max was 7:1 rbps=max wbps=1000 riops=max wiops=max\n");

  SECTION("io by device") {
    limits = {};
    limits.memory_max = 1 << 20;
    limits.io.push_back({.device = path, .read_bytes_per_s = 5, .write_ops_per_s = 6});
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    const auto settings = good(plan_settings(directory, limits));
    REQUIRE(settings.size() == 2);
    const std::string number =
        std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
    const auto wanted = settings[0].wanted ? settings[0] : settings[1];
    CHECK(wanted.value == number + " rbps=5 wbps=max riops=max wiops=6");
    CHECK(wanted.previous == number + " rbps=max wbps=max riops=max wiops=max");
  }
  SECTION("weights by device") {
    good(replace_file(path + "/io.weight", "default 100\n7:9 30\n", 0644));
    limits = {};
    limits.memory_max = 1 << 20;
    limits.io_weight = 50;
    limits.io.push_back({.device = path, .weight = 300});
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    const std::string number =
        std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
    text.clear();
    for (const auto &setting : good(plan_settings(directory, limits)))
      if (setting.file == "io.weight") text += setting.value + " was " + setting.previous + "\n";
    CHECK(text == "default 50 was default 100\n" + number + " 300 was " + number +
                      " default\n7:9 default was 7:9 30\n");
    limits.io.back().weight = 10'001;
    Refused refused;
    CHECK(plan_settings(directory, limits, &refused).error().code == ERANGE);
    CHECK(refused.device == path);
  }
  SECTION("a weight out of range") {
    limits.cpu_weight = 0;
    CHECK(plan_settings(directory, limits).error().code == ERANGE);
  }
  SECTION("a device that is not there") {
    limits.io.push_back({.device = path + "/nothing"});
    const auto settings = plan_settings(directory, limits);
    REQUIRE_FALSE(settings.ok());
    CHECK(settings.error().message() == "io limit of " + path + "/nothing: No such file or directory");
  }
  SECTION("a wanted file that the kernel lacks") {
    limits.io_weight = 50;
    const auto settings = plan_settings(directory, limits);
    REQUIRE_FALSE(settings.ok());
    CHECK(settings.error().message().find("io.weight") != std::string::npos);
  }
  SECTION("controllers that are missing") {
    good(replace_file(path + "/cgroup.controllers", "\n", 0644));
    CHECK(good(plan_settings(directory, limits)).empty());
  }
  std::filesystem::remove_all(path);
}

TEST_CASE("pressure, io and memory files are read", "[stats]") {
  char name[] = "/tmp/paddock-cgroups-XXXXXX";
  REQUIRE(::mkdtemp(name) != nullptr);
  const std::string path = name;
  const UniqueFd directory = good(open_file(path, O_RDONLY | O_DIRECTORY));
  const auto put = [&](const char *file, const char *text) {
    good(replace_file(path + "/" + file, text, 0644));
  };
  put("cpu.stat",
      "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 5\nnr_throttled 2\nthrottled_usec 99\n");
  put("memory.current", "4096\n");
  put("memory.peak", "8192\n");
  put("memory.stat", "anon 1\nfile 2\nkernel 3\nshmem 4\nslab 5\nsock 6\n");
  put("memory.events", "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n");
  put("pids.current", "3\n");
  put("pids.events", "max 8\n");
  put("io.stat", "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:1 \n");
  put("cpu.pressure",
      "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
  const auto stats = good(read_stats(directory));
  CHECK(stats.cpu->throttled_us == 99);
  CHECK(stats.memory->current == 4096);
  CHECK(stats.memory->peak == 8192U);
  CHECK_FALSE(stats.memory->swap);
  CHECK(stats.memory->sock == 6);
  CHECK(stats.memory->oom_kills == 4);
  CHECK(stats.pids->current == 3);
  CHECK_FALSE(stats.pids->peak);
  CHECK(stats.pids->max_events == 8);
  REQUIRE(stats.io->size() == 2);
  CHECK(stats.io->front().major == 254);
  CHECK(stats.io->front().written_bytes == 2);
  CHECK(stats.cpu_pressure->some.avg10 == Approx(1.5));
  CHECK(stats.cpu_pressure->full.total_us == 5);
  CHECK_FALSE(stats.io_pressure);

  put("pids.current", "three\n");
  CHECK(read_stats(directory).error().code == EBADMSG);
  std::filesystem::remove_all(path);
}

TEST_CASE("limits are enforced, changed live and taken back", "[controllers]") {
  const TestHierarchy test;
  if (!has_controllers(test.hierarchy)) return;
  const auto alice = good(test.hierarchy.tenant("alice"));
  const auto says = [&](const char *file) {
    auto text = good(read_at(alice.directory(), file));
    return text.substr(0, text.find('\n'));
  };
  Limits limits;
  limits.cpu_percent = 50;
  limits.cpu_weight = 200;
  limits.memory_high = 48 << 20;
  limits.memory_max = 64 << 20;
  limits.swap_max = 0;
  limits.pids_max = 5;
  good(alice.set_limits(limits));
  CHECK(says("cpu.max") == "50000 100000");
  CHECK(says("cpu.weight") == "200");
  CHECK(says("memory.high") == "50331648");
  CHECK(says("memory.max") == "67108864");
  CHECK(says("memory.swap.max") == "0");
  CHECK(says("pids.max") == "5");

  SECTION("pids.max") {
    Process forker(alice, [] {
      int made = 0;
      for (int i = 0; i < 20; ++i) {
        const pid_t pid = ::fork();
        if (pid == 0) sleep_forever();
        if (pid > 0) ++made;
      }
      ::_exit(made);
    });
    CHECK(WEXITSTATUS(forker.wait()) == 4);
    CHECK(good(alice.stats()).pids->max_events >= 16);
    good(alice.kill());
  }
  SECTION("memory.max") {
    limits.memory_high.reset();
    good(alice.set_limits(limits));
    Process hungry(alice, [] {
      constexpr std::size_t kSize = 128 << 20;
      auto *memory = static_cast<char *>(
          ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      for (std::size_t i = 0; i < kSize; i += 4096) memory[i] = 1;
    });
    const int status = hungry.wait();
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    const auto stats = good(alice.stats());
    CHECK(stats.memory->oom_kills == 1);
    CHECK(*stats.memory->peak <= (64 << 20));
    CHECK(*stats.memory->peak >= (60 << 20));
  }
  SECTION("back to the defaults") {
    good(alice.set_limits({}));
    CHECK(says("cpu.max") == "max 100000");
    CHECK(says("cpu.weight") == "100");
    CHECK(says("memory.high") == "max");
    CHECK(says("memory.max") == "max");
    CHECK(says("pids.max") == "max");
  }
  SECTION("a refused limit leaves the old ones") {
    limits.cpu_percent = 70;
    limits.pids_max = 9;
    // A device number that no disk has: the kernel refuses the last write of all.
    limits.io.push_back({.device = "/proc", .read_bytes_per_s = 1000});
    const auto refused = alice.set_limits(limits);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ENODEV);
    CHECK(refused.error().message().find("io.max") != std::string::npos);
    CHECK(refused.error().message().find("rbps=1000") != std::string::npos);
    CHECK(refused.error().message().find("restored") == std::string::npos);
    CHECK(says("cpu.max") == "50000 100000");
    CHECK(says("pids.max") == "5");
  }
}
