#include "policies/machine.h"

#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sstream>
#include <unordered_map>

#include "base/file.h"
#include "policies/host_networks.h"
#include "policies/path_looker.h"

namespace paddock::policies {
namespace {

constexpr std::size_t kLargestEntry = 1 << 20;  // a group of a hundred thousand members fits

// Calls one of the get…nam_r functions with a buffer that grows until the entry fits.
template <typename Record, typename Function>
Result<std::optional<Record>> look_up(Function function, const std::string &name, std::vector<char> &buffer) {
  Record record{};
  Record *found = nullptr;
  if (buffer.empty()) buffer.resize(4096);
  int failure = 0;
  while ((failure = function(name.c_str(), &record, buffer.data(), buffer.size(), &found)) == ERANGE &&
         buffer.size() < kLargestEntry)
    buffer.resize(buffer.size() * 4);
  if (found != nullptr) return std::optional(record);
  // getpwnam(3): "0 or ENOENT or ESRCH or EBADF or EPERM or …": the given name was not found.
  if (failure == 0 || failure == ENOENT || failure == ESRCH || failure == EBADF || failure == EPERM)
    return std::optional<Record>();
  return errno_error("look up " + name, failure);
}

bool files_come_first() {
  const auto switches = read_file("/etc/nsswitch.conf");
  if (!switches) return true;  // glibc's default without the file
  std::istringstream lines(*switches);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    if (!(words >> word) || word != "passwd:") continue;
    if (!(words >> word) || word != "files") return false;
    // An action such as [SUCCESS=merge] would change what a hit means.
    return !(words >> word) || word[0] != '[';
  }
  return true;
}

class Accounts {
 public:
  explicit Accounts(AccountLookup how) : loaded_(how == AccountLookup::kOneByOne) {}

  Result<std::optional<Account>> find(const std::string &user) {
    if (!loaded_) load();
    if (const auto known = by_name_.find(user); known != by_name_.end()) return std::optional(known->second);
    std::vector<char> buffer;
    PADDOCK_TRY(const auto record, look_up<passwd>(::getpwnam_r, user, buffer));
    if (!record) return std::optional<Account>();
    return std::optional(Account{record->pw_uid, record->pw_gid, record->pw_dir});
  }

 private:
  void load() {
    loaded_ = true;
    if (!files_come_first()) return;
    struct Close {
      void operator()(FILE *file) const { std::fclose(file); }
    };
    const std::unique_ptr<FILE, Close> file(std::fopen("/etc/passwd", "re"));
    if (!file) return;
    std::vector<char> buffer(kLargestEntry);
    passwd record{};
    passwd *found = nullptr;
    while (::fgetpwent_r(file.get(), &record, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
      by_name_.emplace(record.pw_name, Account{record.pw_uid, record.pw_gid, record.pw_dir});
  }

  std::unordered_map<std::string, Account> by_name_;
  bool loaded_;
};

Result<std::optional<gid_t>> find_group(const std::string &name) {
  std::vector<char> buffer;
  PADDOCK_TRY(const auto record, look_up<group>(::getgrnam_r, name, buffer));
  if (!record) return std::optional<gid_t>();
  return std::optional(record->gr_gid);
}

std::vector<std::string> expand(const std::string &pattern) {
  glob_t matches{};
  std::vector<std::string> out;
  if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &matches) == 0)
    out.assign(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  ::globfree(&matches);
  std::sort(out.begin(), out.end());  // glob(3) sorts by the locale
  return out;
}

// What is not known is taken on trust: the start of a sandbox finds out, and says so.
class Paths {
 public:
  std::string home_problem(const std::string &home, uid_t uid) {
    const auto is_fine = [uid](const PathLooker::Look &look) {
      return look.code == 0 && S_ISDIR(look.mode) && look.uid == uid;
    };
    if (const auto known = PathLooker::cached(home); known && is_fine(*known)) return {};
    const auto found = looker_.look(home);
    if (!found || is_fine(*found)) return {};
    if (found->code != 0) return errno_error("cannot be used", found->code).message();
    if (!S_ISDIR(found->mode)) return "is not a directory";
    return "belongs to uid " + std::to_string(found->uid) + ", not to uid " + std::to_string(uid);
  }

  bool exist(const std::string &path) {
    if (PathLooker::cached(path)) return true;
    const auto found = looker_.look(path);
    return !found || found->code == 0;
  }

 private:
  PathLooker looker_;
};

}  // namespace

Machine this_machine(AccountLookup how) {
  const auto accounts = std::make_shared<Accounts>(how);
  const auto paths = std::make_shared<Paths>();
  return {
      .account = [accounts](const std::string &user) { return accounts->find(user); },
      .group = find_group,
      .read = [](const std::string &path, std::size_t limit) { return read_file(path, limit); },
      .expand = expand,
      .exists = [paths](const std::string &path) { return paths->exist(path); },
      .home_problem = [paths](const std::string &home, uid_t uid) { return paths->home_problem(home, uid); },
      .networks = host_networks,
      .cpus = static_cast<unsigned>(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 0L)),
      .memory_bytes = static_cast<std::uint64_t>(std::max(::sysconf(_SC_PHYS_PAGES), 0L)) *
                      static_cast<std::uint64_t>(std::max(::sysconf(_SC_PAGESIZE), 0L)),
  };
}

}  // namespace paddock::policies
