#include "cgroups/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <sstream>

#include "base/file.h"
#include "cgroups/directory.h"
#include "cgroups/libcgroup_backend.h"
#include "cgroups/settings.h"

namespace paddock::cgroups {
namespace {

using Clock = std::chrono::steady_clock;

Error in_cgroup(const std::string &path, const Error &error) {
  return errno_error("cgroup " + path + ": " + error.attempt, error.code);
}

// A line of cgroup.events, as the file stands now.
Result<bool> event(BorrowedFd events, const char *name) {
  char text[256];
  const ssize_t got = ::pread(events.get(), text, sizeof text, 0);
  if (got < 0) return errno_error("read cgroup.events");
  const std::string_view lines(text, static_cast<std::size_t>(got));
  const std::size_t found = lines.find(std::string(name) + " ");
  if (found == std::string_view::npos)
    return errno_error(std::string("find ") + name + " in cgroup.events", EBADMSG);
  return lines.substr(found + std::string_view(name).size() + 1).starts_with('1');
}

// Waits until the event has that value; the kernel raises POLLPRI whenever one of them changes.
Result<void> await(BorrowedFd events, const char *name, bool value, std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  for (;;) {
    PADDOCK_TRY(const bool now, event(events, name));
    if (now == value) return {};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0)
      return errno_error(std::string("wait for ") + name + " " + (value ? "1" : "0"), ETIMEDOUT);
    pollfd changed{events.get(), POLLPRI, 0};
    if (::poll(&changed, 1, static_cast<int>(left.count())) < 0 && errno != EINTR)
      return errno_error("poll cgroup.events");
  }
}

bool is_gone(int code) {
  return code == ENODEV || code == ENOENT;
}

Result<void> collect_processes(BorrowedFd cgroup, bool below, std::vector<pid_t> &pids) {
  auto text = read_at(cgroup, "cgroup.procs", 16 << 20);
  if (!text) {
    // EOPNOTSUPP: a threaded cgroup, whose processes its parent lists.
    if (!below || (!is_gone(text.error().code) && text.error().code != EOPNOTSUPP)) return text.error();
    return {};
  }
  const char *at = text->data();
  const char *end = at + text->size();
  while (at < end) {
    pid_t pid = 0;
    const auto [next, code] = std::from_chars(at, end, pid);
    if (code != std::errc{}) return errno_error("understand cgroup.procs", EBADMSG);
    pids.push_back(pid);
    at = next + 1;
  }
  if (!below) return {};
  const auto children = child_names(cgroup);
  if (!children) return is_gone(children.error().code) ? Result<void>() : Result<void>(children.error());
  for (const auto &name : *children) {
    const auto child = open_at(cgroup, name, O_RDONLY | O_DIRECTORY);
    if (child) PADDOCK_CHECK(collect_processes(*child, true, pids));
  }
  return {};
}

// Those below first: a cgroup with children cannot be removed.
Result<void> remove_children(BorrowedFd cgroup) {
  const auto children = child_names(cgroup);
  if (!children) return is_gone(children.error().code) ? Result<void>() : Result<void>(children.error());
  for (const auto &name : *children) {
    if (const auto child = open_at(cgroup, name, O_RDONLY | O_DIRECTORY))
      PADDOCK_CHECK(remove_children(*child));
    if (::unlinkat(cgroup.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
      return errno_error("remove " + name);
  }
  return {};
}

std::string last_name(const std::string &path) {
  return path.substr(path.rfind('/') + 1);
}

// The parent's directory, where the name in it is still this cgroup's; invalid where the cgroup has been
// removed, perhaps with another of its name in its place.
Result<UniqueFd> named_parent(BorrowedFd cgroup, const std::string &path) {
  auto parent = open_at(cgroup, "..", O_PATH | O_DIRECTORY);
  if (!parent)
    return is_gone(parent.error().code) ? Result<UniqueFd>(UniqueFd()) : in_cgroup(path, parent.error());
  struct stat held {};
  struct stat named {};
  if (::fstat(cgroup.get(), &held) != 0) return errno_error("cgroup " + path + ": stat");
  const std::string name = last_name(path);
  if (::fstatat(parent->get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 || named.st_ino != held.st_ino)
    return UniqueFd();
  return parent;
}

}  // namespace

Result<std::vector<std::string>> child_names(BorrowedFd cgroup) {
  // A description of its own: reading moves the position.
  PADDOCK_TRY(UniqueFd fd, open_at(cgroup, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR *)> listing(::fdopendir(fd.get()), ::closedir);
  if (!listing) return errno_error("list the cgroup");
  [[maybe_unused]] const int owned_by_listing = fd.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent *entry = ::readdir(listing.get())) {
    const std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return errno_error("list the cgroup");
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> Cgroup::check_name() const {
  PADDOCK_TRY(const UniqueFd parent, named_parent(directory_, path_));
  if (!parent.valid()) return errno_error("cgroup " + path_, ENODEV);
  return {};
}

Result<void> Cgroup::set_limits(const Limits &limits, Refused *refused) const {
  const auto settings = plan_settings(directory_, limits, refused);
  if (!settings) return in_cgroup(path_, settings.error());
  if (!libcgroup_controller_.empty()) PADDOCK_CHECK(check_name());
  const auto write = [this](const Setting &setting, const std::string &value) {
    return !libcgroup_controller_.empty()
               ? libcgroup::set_value(path_.substr(1), setting.controller, setting.file, value)
               : write_value_at(directory_, setting.file, value);
  };
  for (std::size_t i = 0; i < settings->size(); ++i) {
    const Setting &setting = (*settings)[i];
    const auto written = write(setting, setting.value);
    if (written) continue;
    if (refused != nullptr) *refused = {setting.file, setting.device};
    Error error = in_cgroup(path_, written.error());
    while (i-- > 0)
      if (const auto back = write((*settings)[i], (*settings)[i].previous); !back)
        error.attempt += " (and its old value could not be restored: " + back.error().message() + ")";
    return error;
  }
  return {};
}

Result<void> Cgroup::lift_cpu_quota() const {
  const auto written = write_value_at(directory_, "cpu.max", "max");
  if (!written && !is_gone(written.error().code)) return in_cgroup(path_, written.error());
  return {};
}

Result<void> Cgroup::attach(pid_t pid) const {
  if (!libcgroup_controller_.empty()) {
    PADDOCK_CHECK(check_name());
    return libcgroup::attach(path_.substr(1), libcgroup_controller_, pid);
  }
  const auto written = write_value_at(directory_, "cgroup.procs", std::to_string(pid));
  if (!written) return in_cgroup(path_, written.error());
  return {};
}

Result<void> Cgroup::kill() const {
  const auto written = write_value_at(directory_, "cgroup.kill", "1");
  if (!written && !is_gone(written.error().code)) return in_cgroup(path_, written.error());
  return {};
}

Result<void> Cgroup::freeze(std::chrono::milliseconds patience) const {
  PADDOCK_TRY(const UniqueFd events, open_events());
  if (const auto written = write_value_at(directory_, "cgroup.freeze", "1"); !written)
    return in_cgroup(path_, written.error());
  if (const auto waited = await(events, "frozen", true, patience); !waited)
    return in_cgroup(path_, waited.error());
  return {};
}

Result<void> Cgroup::thaw() const {
  const auto written = write_value_at(directory_, "cgroup.freeze", "0");
  if (!written) return in_cgroup(path_, written.error());
  return {};
}

Result<bool> Cgroup::frozen() const {
  PADDOCK_TRY(const UniqueFd events, open_events());
  return event(events, "frozen");
}

Result<bool> Cgroup::populated() const {
  PADDOCK_TRY(const UniqueFd events, open_events());
  return event(events, "populated");
}

Result<void> Cgroup::wait_unpopulated(std::chrono::milliseconds patience) const {
  PADDOCK_TRY(const UniqueFd events, open_events());
  const auto waited = await(events, "populated", false, patience);
  if (!waited) return in_cgroup(path_, waited.error());
  return {};
}

Result<UniqueFd> Cgroup::open_events() const {
  auto events = open_at(directory_, "cgroup.events", O_RDONLY);
  if (!events) return in_cgroup(path_, events.error());
  return events;
}

Result<std::vector<pid_t>> Cgroup::processes() const {
  std::vector<pid_t> pids;
  if (const auto collected = collect_processes(directory_, false, pids); !collected)
    return in_cgroup(path_, collected.error());
  return pids;
}

Result<std::vector<pid_t>> Cgroup::all_processes() const {
  std::vector<pid_t> pids;
  if (const auto collected = collect_processes(directory_, true, pids); !collected)
    return in_cgroup(path_, collected.error());
  return pids;
}

Result<void> Cgroup::remove(std::chrono::milliseconds patience) const {
  if (const auto waited = wait_unpopulated(patience); !waited)
    return is_gone(waited.error().code) ? Result<void>() : waited;
  PADDOCK_TRY(const UniqueFd parent, named_parent(directory_, path_));
  if (!parent.valid()) return {};
  if (const auto removed = remove_children(directory_); !removed) return in_cgroup(path_, removed.error());
  if (::unlinkat(parent.get(), last_name(path_).c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return errno_error("cgroup " + path_ + ": remove");
  return {};
}

Result<void> Cgroup::kill_and_remove(std::chrono::milliseconds patience) const {
  PADDOCK_CHECK(kill());
  return remove(patience);
}

}  // namespace paddock::cgroups
