#include "sandbox/test_sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "base/file.h"
#include "sandbox/detached_tree.h"

namespace paddock::sandbox {
namespace {

std::string make_home(const std::string &path, uid_t uid) {
  if (::mkdir(path.c_str(), 0701) != 0 || ::chmod(path.c_str(), 0701) != 0 ||
      ::chown(path.c_str(), uid, uid) != 0)
    throw std::runtime_error("make " + path);
  return path;
}

// What a sandbox's entry() needs.
struct Job {
  const Body *body;
  int pipe;
};

int run_body(void *argument, ViewGate &) {
  const auto *job = static_cast<const Job *>(argument);
  std::string said;
  try {
    said = (*job->body)();
  } catch (const std::exception &exception) {
    said = std::string("exception: ") + exception.what();
  }
  return write_all(BorrowedFd(job->pipe), said) ? 0 : 9;
}

// Fields that any text can be in.
std::string join(const Outcome &outcome) {
  std::ostringstream text;
  text << outcome.status.signaled << ' ' << outcome.status.code << ' ' << outcome.took.count() << ' '
       << outcome.failure.size() << ' ' << outcome.failure << outcome.said;
  return text.str();
}

Outcome split(const std::string &text) {
  std::istringstream stream(text);
  Outcome outcome;
  std::chrono::microseconds::rep took = 0;
  std::size_t length = 0;
  if (!(stream >> outcome.status.signaled >> outcome.status.code >> took >> length))
    throw std::runtime_error("no outcome in: " + text);
  outcome.took = std::chrono::microseconds(took);
  stream.get();
  outcome.failure.resize(length);
  stream.read(outcome.failure.data(), static_cast<std::streamsize>(length));
  outcome.said.assign(std::istreambuf_iterator<char>(stream), {});
  return outcome;
}

}  // namespace

HostDirectory::HostDirectory() {
  char name[] = "/tmp/paddock-sandbox-XXXXXX";
  if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  path = name;
  ::chmod(name, 0755);
  home = make_home(path + "/alice", kTenant);
  neighbour = make_home(path + "/bob", kNeighbour);
}

HostDirectory::~HostDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

std::string in_base_view(const std::function<std::string(const BaseView &)> &action,
                         const BaseViewOptions &options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto base = BaseView::enter(options);
    const std::string said = base ? action(*base) : "base view: " + base.error().message();
    ::_exit(write_all(writer, said) ? 0 : 1);
  }
  writer.reset();
  const auto said = read_all(reader);
  ::waitpid(pid, nullptr, 0);
  if (!said) throw std::runtime_error(said.error().message());
  return *said;
}

Outcome run(const std::string &home, const Body &body, const Adjust &adjust) {
  const auto tree = open_detached_tree(home, {.follow = true, .owner = kTenant});
  if (!tree) throw std::runtime_error(tree.error().message());
  SandboxSpec spec;
  spec.name = "alice";
  spec.uid = kTenant;
  spec.gid = kTenant;
  spec.user = "alice";
  spec.home = home;
  spec.home_tree = *tree;
  spec.tmp_bytes = 4 << 20;
  spec.dumpable = true;
  if (adjust) adjust(spec);

  return split(in_base_view([&](const BaseView &base) {
    Outcome outcome;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::string();
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    spec.keep_fds.push_back(writer.get());
    auto prepared = PreparedSandbox::prepare(base, spec);
    if (!prepared) {
      outcome.failure = prepared.error().message();
      return join(outcome);
    }
    Job job{&body, writer.get()};
    auto spawned = prepared->spawn(run_body, &job);
    if (!spawned) {
      outcome.failure = spawned.error().message();
      return join(outcome);
    }
    writer.reset();
    outcome.took = spawned->took;
    if (spawned->failure) outcome.failure = spawned->failure->message();
    outcome.said = *read_all(reader);
    pollfd ended{spawned->child.pidfd().get(), POLLIN, 0};
    ::poll(&ended, 1, 60'000);
    if (const auto status = spawned->child.try_reap(); status && *status) outcome.status = **status;
    return join(outcome);
  }));
}

std::string mounts() {
  return *read_file("/proc/self/mountinfo");
}

int count_children() {
  int count = 0;
  const std::string own = std::to_string(::getpid());
  for (const auto &entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::istringstream children(*read_file(entry.path().string() + "/children"));
    for (std::string child; children >> child;) ++count;
  }
  return count;
}

std::string answer(long result) {
  if (result >= 0) return "ok";
  const char *name = ::strerrorname_np(errno);
  return name == nullptr ? "?" : name;
}

}  // namespace paddock::sandbox
