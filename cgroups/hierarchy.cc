#include "cgroups/hierarchy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/file.h"
#include "cgroups/directory.h"
#include "cgroups/libcgroup_backend.h"

namespace paddock::cgroups {
namespace {

constexpr const char *kSupervisor = "supervisor";
constexpr const char *kOwnCpuWeight = "1000";  // all tenants together have the default, 100
constexpr const char *kGateway = "gateway";
constexpr const char *kZygote = "zygote";
constexpr const char *kDashboard = "dashboard";
constexpr const char *kMail = "mail";
constexpr const char *kTenants = "tenants";
// Where the caller is in the root cgroup, which has no other name to go by.
constexpr const char *kDefaultBase = "paddock";

std::vector<std::string> words(const std::string &text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string word; stream >> word;) result.push_back(word);
  return result;
}

// mountinfo writes space, tab, newline and backslash as \ooo (proc(5)).
std::string unescape(const std::string &text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      result += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

bool is_name(const std::string &name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos && name.find('\n') == std::string::npos;
}

// The caller's cgroup in v2: the line "0::/path" of /proc/self/cgroup.
Result<std::string> own_cgroup() {
  PADDOCK_TRY(const std::string text, read_file("/proc/self/cgroup"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("0::/")) return line.substr(3);
  return errno_error("find the own cgroup v2 in /proc/self/cgroup", ENOENT);
}

// Those of kControllers that are available in the cgroup and not yet its children's: passed down. Returns the
// last refusal, naming the controller.
Result<void> pass_down_controllers(BorrowedFd cgroup) {
  PADDOCK_TRY(const std::string available_text, read_at(cgroup, "cgroup.controllers"));
  PADDOCK_TRY(const std::string passed_text, read_at(cgroup, "cgroup.subtree_control"));
  const auto available = words(available_text);
  const auto passed = words(passed_text);
  Result<void> result;
  for (const char *controller : Hierarchy::kControllers) {
    if (std::find(available.begin(), available.end(), controller) == available.end()) continue;
    if (std::find(passed.begin(), passed.end(), controller) != passed.end()) continue;
    if (auto written = write_value_at(cgroup, "cgroup.subtree_control", std::string("+") + controller);
        !written)
      result = std::move(written);
  }
  return result;
}

// Makes `name` in `parent`, which is the cgroup of `parent_path` ("" for the root).
Result<UniqueFd> make_child(BorrowedFd parent, const std::string &parent_path, const std::string &name,
                            const std::string &libcgroup_controller = {}) {
  const std::string path = parent_path + "/" + name;
  struct stat status {};
  if (::fstatat(parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (!libcgroup_controller.empty()) {
      PADDOCK_CHECK(libcgroup::create(path.substr(1), libcgroup_controller));
    } else if (::mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST) {
      return errno_error("make the cgroup " + path);
    }
  }
  auto directory = open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) return errno_error("open the cgroup " + path, directory.error().code);
  return directory;
}

// For a cgroup whose processes were killed a moment ago: 2 s in all.
constexpr int kRemovalAttempts = 100;
constexpr useconds_t kRemovalPauseUs = 20'000;

}  // namespace

Result<HostLayout> HostLayout::detect() {
  PADDOCK_TRY(const std::string text, read_file("/proc/self/mountinfo", 16 << 20));
  HostLayout layout;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto fields = words(line);
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 7 || fields.end() - dash < 2) continue;
    const std::string &type = *(dash + 1);
    if (type == "cgroup") layout.hybrid = true;
    if (type == "cgroup2" && layout.mount.empty()) layout.mount = unescape(fields[4]);
  }
  if (layout.mount.empty()) return layout;
  PADDOCK_TRY(const std::string controllers, read_file(layout.mount + "/cgroup.controllers"));
  layout.controllers = words(controllers);
  return layout;
}

Result<Hierarchy> Hierarchy::open(const std::string &base) {
  Hierarchy hierarchy;
  PADDOCK_TRY(hierarchy.host_, HostLayout::detect());
  const HostLayout &host = hierarchy.host_;
  if (host.mount.empty()) return Error{"cgroup v2 is mounted nowhere (mount -t cgroup2 none /sys/fs/cgroup)"};

  PADDOCK_TRY(const std::string own, own_cgroup());
  std::string path = base.empty() ? own : base;
  bool named = !base.empty();
  if (base.empty() && own == "/") {
    path = kDefaultBase;
    named = true;
  } else if (base.empty() && own.ends_with(std::string("/") + kSupervisor)) {
    // Where an earlier Hierarchy has moved whoever started us.
    const std::string parent = own.substr(0, own.size() - std::string_view(kSupervisor).size() - 1);
    struct stat status {};
    if (::stat((host.mount + parent + "/" + kTenants).c_str(), &status) == 0) path = parent;
  }

  PADDOCK_TRY(hierarchy.base_, open_file(host.mount, O_RDONLY | O_DIRECTORY));
  std::vector<std::string> parts;
  std::istringstream stream(path);
  for (std::string part; std::getline(stream, part, '/');) {
    if (part.empty()) continue;
    if (!is_name(part)) return errno_error("use the cgroup " + path, EINVAL);
    parts.push_back(part);
  }
  for (const auto &part : parts) {
    // What is above a delegated cgroup is systemd's. Above a named one it may be that nobody has passed the
    // controllers down; where that is refused, missing_controllers() will tell.
    if (named) [[maybe_unused]]
      const auto passed = pass_down_controllers(hierarchy.base_);
    PADDOCK_TRY(hierarchy.base_, make_child(hierarchy.base_, hierarchy.base_path_, part));
    hierarchy.base_path_ += "/" + part;
  }

  const auto child = [&](const char *name) -> Result<Cgroup> {
    // A new one where an empty one is left: the kernel compares a cgroup's count of kills with that of the
    // cloner's cgroup (cgroup_post_fork(), seen on 6.18), so whoever lives in a cgroup that was once killed
    // can clone into no fresh one: each child would be killed at birth.
    // What lived there may need a moment to be gone.
    for (int attempt = 0; attempt < kRemovalAttempts; ++attempt) {
      if (own.ends_with("/" + std::string(name)) ||
          ::unlinkat(hierarchy.base_.get(), name, AT_REMOVEDIR) == 0 || errno != EBUSY)
        break;
      ::usleep(kRemovalPauseUs);
    }
    PADDOCK_TRY(UniqueFd directory, make_child(hierarchy.base_, hierarchy.base_path_, name));
    return Cgroup(std::move(directory), hierarchy.base_path_ + "/" + name);
  };
  PADDOCK_TRY(hierarchy.supervisor_, child(kSupervisor));
  PADDOCK_TRY(hierarchy.gateway_, child(kGateway));
  PADDOCK_TRY(hierarchy.zygote_, child(kZygote));
  PADDOCK_TRY(hierarchy.dashboard_, child(kDashboard));
  PADDOCK_TRY(hierarchy.mail_, child(kMail));
  PADDOCK_TRY(hierarchy.tenants_, make_child(hierarchy.base_, hierarchy.base_path_, kTenants));
  PADDOCK_CHECK(hierarchy.supervisor_.attach(::getpid()));

  if (auto passed = pass_down_controllers(hierarchy.base_); !passed) {
    Error error = std::move(passed).error();
    error.attempt = "cgroup " + hierarchy.base_path_ + ": " + error.attempt;
    // The usual reason: a cgroup with processes of its own passes nothing down.
    if (const auto pids = read_at(hierarchy.base_, "cgroup.procs"); pids && !pids->empty())
      error.attempt += " (processes are in it: " + pids->substr(0, pids->find('\n')) +
                       ", …; run under systemd with Delegate=yes, or name a cgroup of our own)";
    return error;
  }
  PADDOCK_CHECK(pass_down_controllers(hierarchy.tenants_));
  // Who has to end a fork bomb must not wait in line behind it.
  for (const Cgroup *ours : {&hierarchy.supervisor_, &hierarchy.gateway_, &hierarchy.zygote_})
    if (auto written = write_value_at(ours->directory(), "cpu.weight", kOwnCpuWeight);
        !written && written.error().code != ENOENT)
      return std::move(written).error();

  PADDOCK_TRY(const std::string passed, read_at(hierarchy.tenants_, "cgroup.subtree_control"));
  const auto present = words(passed);
  for (const char *controller : kControllers)
    if (std::find(present.begin(), present.end(), controller) == present.end())
      hierarchy.missing_.emplace_back(controller);
  if (!host.hybrid && !present.empty()) hierarchy.libcgroup_controller_ = present.front();
  return hierarchy;
}

Result<Cgroup> Hierarchy::tenant(const std::string &name) const {
  if (!is_name(name)) return errno_error("make the cgroup of tenant " + name, EINVAL);
  const std::string parent = base_path_ + "/" + kTenants;
  PADDOCK_TRY(UniqueFd directory, make_child(tenants_, parent, name, libcgroup_controller_));
  return Cgroup(std::move(directory), parent + "/" + name, libcgroup_controller_);
}

Result<std::vector<std::string>> Hierarchy::leftovers() const {
  return child_names(tenants_);
}

Result<void> Hierarchy::remove() const {
  const Cgroup tenants(UniqueFd(::fcntl(tenants_.get(), F_DUPFD_CLOEXEC, 0)), base_path_ + "/" + kTenants);
  const Cgroup base(UniqueFd(::fcntl(base_.get(), F_DUPFD_CLOEXEC, 0)), base_path_);
  constexpr std::chrono::seconds kPatience(2);
  PADDOCK_CHECK(tenants.remove(kPatience));
  PADDOCK_CHECK(gateway_.remove(kPatience));
  PADDOCK_CHECK(zygote_.remove(kPatience));
  PADDOCK_CHECK(dashboard_.remove(kPatience));
  PADDOCK_CHECK(mail_.remove(kPatience));
  PADDOCK_TRY(const auto processes, supervisor_.processes());
  if (std::find(processes.begin(), processes.end(), ::getpid()) != processes.end()) {
    PADDOCK_TRY(const UniqueFd parent, open_at(base_, "..", O_RDONLY | O_DIRECTORY));
    PADDOCK_CHECK(write_value_at(parent, "cgroup.procs", std::to_string(::getpid())));
  }
  PADDOCK_CHECK(supervisor_.remove(kPatience));
  return base.remove(kPatience);
}

}  // namespace paddock::cgroups
