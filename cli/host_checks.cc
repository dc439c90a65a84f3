#include "cli/host_checks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "policies/socket_path.h"

namespace paddock::cli {
namespace {

using control::FindingSeverity;

constexpr std::size_t kNamespacesPerTenant = 1;  // of each kind

void good(Findings &findings, std::string subject, std::string message) {
  findings.push_back({FindingSeverity::kOk, std::move(subject), std::move(message), ""});
}
void bad(Findings &findings, std::string subject, std::string message, std::string mend) {
  findings.push_back({FindingSeverity::kError, std::move(subject), std::move(message), std::move(mend)});
}
void doubtful(Findings &findings, std::string subject, std::string message, std::string mend) {
  findings.push_back({FindingSeverity::kWarning, std::move(subject), std::move(message), std::move(mend)});
}

std::optional<std::uint64_t> read_number(const std::string &path) {
  const auto text = read_file(path);
  if (!text) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (failure != std::errc{}) return std::nullopt;
  return number;
}

// The first file in `directory` whose name begins and ends so.
std::optional<std::string> find_file(const std::string &directory, std::string_view begin,
                                     std::string_view end) {
  std::error_code ignored;
  for (std::filesystem::directory_iterator entry(directory, ignored), last; !ignored && entry != last;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(begin) && name.ends_with(end)) return entry->path().string();
  }
  return std::nullopt;
}

bool exists(const std::string &path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// The files below `directory` that hand PHP to a socket and whose AllowOverride would have Apache fail on
// php_value.
std::vector<std::string> sites_without_nonfatal(const std::string &directory) {
  std::vector<std::string> found;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(directory, failed), last; !failed && entry != last;
       entry.increment(failed)) {
    std::ifstream in(entry->path());
    bool sockets = false;
    bool fatal = false;
    for (std::string line; std::getline(in, line);) {
      std::transform(line.begin(), line.end(), line.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
      line.erase(0, line.find_first_not_of(" \t"));
      if (line.find("|fcgi://") != std::string::npos) sockets = true;
      if (line.starts_with("allowoverride ") && line.find("none") == std::string::npos &&
          line.find("nonfatal=unknown") == std::string::npos &&
          line.find("nonfatal=all") == std::string::npos)
        fatal = true;
    }
    if (sockets && fatal) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string octal(mode_t mode) {
  std::array<char, 8> digits{};
  const auto [end, failure] = std::to_chars(digits.data(), digits.data() + digits.size(), mode & 07777, 8);
  return "0" + std::string(digits.data(), end);
}

}  // namespace

void check_kernel(const std::string &release, Findings &findings) {
  constexpr std::pair<unsigned, unsigned> kOldest{
      5, 14};  // cgroup.kill; CLONE_INTO_CGROUP and mount_setattr are older
  std::pair<unsigned, unsigned> version{0, 0};
  const char *end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, version.first);
  if (major.ec == std::errc{} && major.ptr != end && *major.ptr == '.')
    std::from_chars(major.ptr + 1, end, version.second);
  if (version < kOldest) {
    bad(findings, "kernel", "Linux " + log::quoted(release, 64) + " is older than 5.14",
        "use Debian 12's kernel (6.1) or a later one");
  } else {
    good(findings, "kernel", "Linux " + release);
  }
}

void check_namespaces(const std::string &root, std::size_t tenants, Findings &findings) {
  const std::uint64_t needed = tenants * kNamespacesPerTenant;
  const std::size_t before = findings.size();
  for (const char *kind : {"user", "mnt", "pid", "ipc", "uts", "cgroup"}) {
    const std::string key = std::string("user/max_") + kind + "_namespaces";
    const auto limit = read_number(root + "/proc/sys/" + key);
    if (!limit) {
      bad(findings, "namespaces",
          "this kernel has no " + std::string(kind) + " namespaces (no /proc/sys/" + key + ")",
          "use a kernel with CONFIG_NAMESPACES and CONFIG_USER_NS");
    } else if (*limit <= needed) {
      bad(findings, "namespaces",
          std::string(kind) + " namespaces: " + std::to_string(*limit) + " are allowed, " +
              std::to_string(tenants) + " tenants need more than " + std::to_string(needed),
          "sysctl -w user.max_" + std::string(kind) + "_namespaces=" + std::to_string(4 * needed + 1024) +
              ", and the same line in /etc/sysctl.d/paddock.conf");
    }
  }
  if (findings.size() == before)
    good(findings, "namespaces", "enough of each kind for " + std::to_string(tenants) + " tenants");
}

namespace {

// By paddockd, which has the libraries for it: what starts for each change of a tenant loads none of them.
Result<void> probe_network() {
  std::error_code error;
  const auto beside = std::filesystem::read_symlink("/proc/self/exe", error).replace_filename("paddockd");
  const std::string program = !error && exists(beside) ? beside.string() : "/usr/sbin/paddockd";
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("make a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  PADDOCK_TRY(const UniqueFd null, open_file("/dev/null", O_RDWR));
  SpawnOptions options;
  options.arguments = {program, "--probe-network"};
  options.fds = {{null, STDIN_FILENO}, {null, STDOUT_FILENO}, {write_end, STDERR_FILENO}};
  PADDOCK_TRY(const Child child, spawn(options));
  write_end.reset();
  PADDOCK_TRY(std::string told, read_all(read_end));
  PADDOCK_TRY(const auto status, child.wait());
  if (status.success()) return {};
  while (told.ends_with('\n')) told.pop_back();
  return Error{told.empty() ? program + " --probe-network failed" : log::quoted(told)};
}

}  // namespace

void check_networks(const policies::Config &config, Findings &findings) {
  const bool wanted = std::any_of(config.plans.begin(), config.plans.end(), [](const auto &each) {
    return each.second.network == policies::Network::kNat;
  });
  if (!wanted) return;
  const std::string subject = "tenants' networks";
  if (::geteuid() != 0) return doubtful(findings, subject, "only root can try them", "run doctor as root");
  if (const auto tried = probe_network(); !tried)
    return bad(
        findings, subject, tried.error().message(),
        "a kernel with veth and nftables (modules veth, nf_tables, nft_masq, nft_nat, nft_reject_inet, "
        "nft_limit, nft_fib_inet, nft_ct), or another network in the plans");
  good(findings, subject, "the kernel has veth and nftables; " + config.nat.range.to_string() + " is free");
}

void check_php(const std::string &root, const policies::Php &php, Findings &findings) {
  const std::string subject = "PHP " + php.name;
  // One with a program of its own may have its library anywhere.
  if (php.program.empty()) {
    std::optional<std::string> library;
    for (const char *directory :
         {"/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib"})
      if (!library) library = find_file(root + directory, "libphp" + php.name, ".so");
    if (library)
      good(findings, subject, library->substr(root.size()));
    else
      bad(findings, subject, "libphp" + php.name + ".so is not there",
          "apt-get install libphp" + php.name + "-embed paddock-php" + php.name);
  }
  if (!exists(root + php.ini_dir + "/php.ini"))
    doubtful(findings, subject,
             "there is no " + php.ini_dir + "/php.ini: PHP runs with its built-in defaults",
             "set ini_dir in [php.\"" + php.name +
                 "\"], or php_ini_dir in [runtime] for the default PHP, to the directory that holds it");
  else if (!find_file(root + php.ini_dir + "/conf.d", "", "opcache.ini"))
    doubtful(findings, subject,
             "opcache is not enabled in " + php.ini_dir + "/conf.d: every request compiles anew",
             "apt-get install php" + php.name + "-opcache; phpenmod opcache");
  else
    good(findings, subject, php.ini_dir + ", with opcache");
}

void check_apache(const std::string &root, Findings &findings) {
  if (!exists(root + "/usr/sbin/apache2")) {
    good(findings, "apache", "not installed here; any FastCGI client of the configured user will do");
    return;
  }
  std::string missing;
  for (const char *module : {"proxy", "proxy_fcgi"})
    if (!exists(root + "/etc/apache2/mods-enabled/" + module + ".load")) missing += std::string(" ") + module;
  const std::size_t before = findings.size();
  if (!missing.empty())
    doubtful(findings, "apache", "modules that are not enabled:" + missing, "a2enmod" + missing);
  if (exists(root + "/etc/apache2/mods-enabled/mpm_prefork.load"))
    doubtful(findings, "apache", "runs the prefork MPM: a process for every waiting request",
             "a2dismod mpm_prefork; a2enmod mpm_event (mod_php has to go first)");
  if (find_file(root + "/etc/apache2/mods-enabled", "php", ".load"))
    doubtful(findings, "apache",
             "mod_php is enabled: what no vhost hands to Paddock runs inside Apache, as Apache",
             "a2dismod it");
  for (const std::string &site : sites_without_nonfatal(root + "/etc/apache2/sites-enabled"))
    doubtful(findings, "apache",
             site + ": AllowOverride without Nonfatal=Unknown: Apache answers 500 to php_value in .htaccess",
             "add Nonfatal=Unknown to it (docs/htaccess.md)");
  if (findings.size() == before) good(findings, "apache", "proxy_fcgi is enabled");
}

void check_cgroup(const std::string &mount, bool hybrid, const std::vector<std::string> &controllers,
                  bool allow_missing, Findings &findings) {
  if (mount.empty()) {
    bad(findings, "cgroup", "cgroup v2 is mounted nowhere",
        "boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 none /sys/fs/cgroup");
    return;
  }
  std::string missing;
  for (const char *name : {"cpu", "memory", "pids", "io"})
    if (std::find(controllers.begin(), controllers.end(), name) == controllers.end())
      missing += (missing.empty() ? "" : ", ") + std::string(name);
  const std::string kind = hybrid ? "hybrid: v2 at " + mount + " beside v1" : "v2 at " + mount;
  if (missing.empty()) {
    good(findings, "cgroup", kind + ", with cpu, memory, pids and io");
    return;
  }
  const std::string mend =
      std::string(hybrid ? "boot with systemd.unified_cgroup_hierarchy=1, so that v2 has them"
                         : "boot a kernel that has them (and without cgroup_disable=)");
  if (allow_missing || missing == "io") {
    doubtful(findings, "cgroup", kind + "; without " + missing + ": those limits are not enforced", mend);
  } else {
    bad(findings, "cgroup", kind + "; without " + missing + ": paddockd will not start",
        mend + "; or set allow_missing_controllers = true in [runtime] and do without those limits");
  }
}

void check_config_files(const policies::Config &config, Findings &findings) {
  const std::size_t before = findings.size();
  for (const auto &file : config.files) {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0) continue;
    if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
      bad(findings, "config",
          log::quoted(file) + " belongs to uid " + std::to_string(status.st_uid) +
              ", who can become any tenant by it",
          "chown root " + file);
    } else if ((status.st_mode & S_IWOTH) != 0) {
      bad(findings, "config", log::quoted(file) + " can be written by everybody", "chmod o-w " + file);
    }
  }
  if (findings.size() == before)
    good(findings, "config",
         config.file + ": " + std::to_string(config.tenants.size()) + " tenants, " +
             std::to_string(config.plans.size()) + " plans");
}

void check_directories(const policies::Config &config, Findings &findings) {
  const auto &runtime = config.runtime;
  const std::size_t before = findings.size();
  std::size_t there = 0;
  for (const auto &directory : {runtime.run_dir, runtime.state_dir, runtime.log_dir}) {
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) continue;
    ++there;
    if (!S_ISDIR(status.st_mode)) {
      bad(findings, "directories", directory + " is not a directory",
          "move it away; paddockd makes the directory");
    } else if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
      bad(findings, "directories", directory + " belongs to uid " + std::to_string(status.st_uid),
          "chown root " + directory);
    } else if ((status.st_mode & (S_IWOTH | S_IWGRP)) != 0) {
      bad(findings, "directories", directory + " can be written by others (" + octal(status.st_mode) + ")",
          "chmod go-w " + directory);
    }
  }
  const std::string sockets = runtime.run_dir + "/sockets";
  struct stat status {};
  if (::stat(sockets.c_str(), &status) == 0) {
    ++there;
    if ((status.st_mode & S_IRWXO) != 0)
      bad(findings, "sockets", sockets + " is open to everybody (" + octal(status.st_mode) + ")",
          "chmod o= " + sockets + ", or restart paddockd");
    if ((status.st_mode & (S_IRGRP | S_IWGRP)) != 0)
      bad(findings, "sockets",
          "the web server's group can list or change " + sockets + " (" + octal(status.st_mode) + ")",
          "chmod g=x " + sockets + ", or restart paddockd");
    if (status.st_gid != config.apache_gid || (status.st_mode & S_IXGRP) == 0)
      bad(findings, "sockets", "user " + log::quoted(config.apache_user) + " cannot reach " + sockets,
          "chgrp " + std::to_string(config.apache_gid) + " " + sockets + "; chmod g=x " + sockets +
              ", or restart paddockd");
  }
  if (::geteuid() == 0) {
    if (const auto key = policies::load_socket_key(runtime.state_dir); !key && key.error().code != ENOENT)
      bad(findings, "sockets", key.error().message(),
          "chown root " + runtime.state_dir + "/socket.key; chmod 0600 " + runtime.state_dir + "/socket.key");
  }
  if (findings.size() == before)
    good(findings, "directories", there == 0 ? "not made yet; paddockd will" : "owners and modes are right");
}

}  // namespace paddock::cli
