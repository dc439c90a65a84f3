// Supervisor <-> zygote: "clone a sandbox for this tenant". Over a MessageSocket.
//
// The zygote, or its spare, clones the keeper with CLONE_PARENT, so that the supervisor is its parent: it
// outlives the zygote, and the supervisor waits for it by the pidfd in Spawned.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace paddock::zygote_link {

// The entry whose directory, below the home, the keeper makes.
inline constexpr std::string_view kOpcacheFiles = "opcache.file_cache";

// One php.ini entry of the tenant's plan. An admin entry cannot be changed by the tenant's code or files.
struct IniEntry {
  std::string name;
  std::string value;
  bool admin = false;

  template <typename Io>
  void fields(Io &io) {
    io(name);
    io(value);
    io(admin);
  }
};

// A host path that the view shows beyond the home: bound at the same path, or at `target`.
struct Bind {
  std::string source;
  std::string target;
  bool writable = false;
  bool optional = false;        // left out where the view has nothing at the target that it could cover
  bool may_be_missing = false;  // left out where the host has no source
  bool noexec = false;
  bool nosuid = true;
  bool nodev = true;

  template <typename Io>
  void fields(Io &io) {
    io(source);
    io(target);
    io(writable);
    io(optional);
    io(may_be_missing);
    io(noexec);
    io(nosuid);
    io(nodev);
  }
};

// What PHP_VALUE and PHP_ADMIN_VALUE from the web server may do.
enum class IniFromWeb : std::uint8_t { kNone = 0, kValue = 1, kAdmin = 2 };

// What is undone of what web servers do to a request's variables (php_worker/environment_repair.h).
enum Repair : std::uint32_t {
  kRedirect = 1,
  kAuthorization = 2,
  kSlashes = 4,
  kProxyPrefix = 8,
  kPathInfo = 16,
  kEveryRepair = 31,
};

// PHP-FPM's access log.
struct AccessLog {
  std::string format;                   // access.format; empty: there is none
  std::vector<std::string> suppressed;  // SCRIPT_NAMEs that are left out where nothing is unusual

  template <typename Io>
  void fields(Io &io) {
    io(format);
    io(suppressed);
  }
};

// How the tenant's requests are served, beyond ini entries.
struct Serving {
  bool htaccess = true;                  // php_value and its kin in .htaccess files are obeyed
  std::uint32_t deadline_ms = 0;         // of a running request; 0: none
  std::uint32_t slow_ms = 0;             // one that runs so long has its backtrace logged; 0: never
  std::uint32_t repairs = kEveryRepair;  // Repair bits
  // SCRIPT_NAMEs that are answered without a script; empty: none.
  std::string status_path;
  std::string ping_path;
  std::string ping_response = "pong";
  AccessLog access;

  template <typename Io>
  void fields(Io &io) {
    io(htaccess);
    io(deadline_ms);
    io(slow_ms);
    io(repairs);
    io(status_path);
    io(ping_path);
    io(ping_response);
    io(access);
  }
};

// What answers a tenant's requests.
enum class Kind : std::uint8_t { kPhp = 0, kFastcgi = 1, kCgi = 2 };

struct Program {
  Kind kind = Kind::kPhp;
  // With kFastcgi: what is started, path and arguments; empty: the script itself.
  std::vector<std::string> command;
  // Where the command itself listens, one for all workers; empty: it is started by each, and finds its socket
  // as descriptor 0.
  std::string listen;

  template <typename Io>
  void fields(Io &io) {
    io(kind);
    io(command);
    io(listen);
  }
};

// kNat: in the network namespace that comes as the last descriptor.
enum class Network : std::uint8_t { kHost = 0, kNone = 1, kNat = 2 };

// The descriptors of a Spawn, in this order. Spawn::opcache_files memfds follow, one for each of
// Hello::opcache_bytes and as large, or none; then the bind trees, one for each entry of Spawn::binds; with
// Network::kNat the network namespace is the last.
enum SpawnFd : std::size_t {
  kListen = 0,      // the tenant's listening socket, SOCK_STREAM
  kKeeperLink = 1,  // the keeper's end of its MessageSocket to the supervisor
  kTenantLog = 2,   // O_WRONLY|O_APPEND; the keeper writes, workers never hold it
  kScoreboard = 3,  // memfd with a scoreboard::Board
  kCgroup = 4,      // O_PATH directory of the tenant's cgroup, for CLONE_INTO_CGROUP
  kPage = 5,        // memfd with a handoff::Page, read-only
  kHandoff = 6,     // the workers' end of the handoff MessageSocket, non-blocking
  kAccessLog = 7,   // as kTenantLog; /dev/null where Serving::access says that there is none
  kHomeTree =
      8,  // the home as a detached mount (open_tree(2), OPEN_TREE_CLONE), nosuid and nodev already set
  kFixedFds = 9,
};

struct Spawn {
  static constexpr std::uint8_t kType = 1;
  std::uint32_t request = 0;  // comes back in the answer: a tenant may be stopped and started before it does
  std::string name;           // of the tenant: for process titles, hostname, logs
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string user;  // the account's login name and home, for passwd(5) in the view and the environment
  std::string home;
  std::uint16_t workers_max = 4;
  std::uint32_t idle_ms = 0;  // the keeper reports Idle after that long without a request; 0: never
  std::uint32_t requests_per_worker = 0;  // a worker is replaced after as many; 0: never
  std::uint32_t emergency_deaths = 0;     // so many crashes within emergency_ms end the sandbox; 0: none do
  std::uint32_t emergency_ms = 0;
  std::uint64_t tmp_bytes = 0;  // size of the view's /tmp
  std::uint64_t log_bytes = 0;  // most that the log may hold; 0: any
  IniFromWeb ini_from_web = IniFromWeb::kValue;
  Serving serving;
  Program program;
  std::vector<IniEntry> ini;
  std::vector<std::string> environment;  // NAME=value, for PHP's getenv()
  std::vector<Bind> binds;
  std::string seccomp;  // an array of sock_filter (linux/filter.h), for seccomp(2); empty: none
  Network network = Network::kHost;
  std::string resolver;           // the nameserver of resolv.conf(5) in the view; empty: the host's
  bool own_start = false;         // this zygote was started for this sandbox alone
  std::uint32_t opcache_mib = 0;  // of the zygote that is asked; 0: what php.ini says
  std::uint8_t opcache_files = 0;
  bool opcache_filled = false;  // they hold what an earlier sandbox of this zygote and this tenant compiled

  template <typename Io>
  void fields(Io &io) {
    io(request);
    io(name);
    io(uid);
    io(gid);
    io(user);
    io(home);
    io(workers_max);
    io(idle_ms);
    io(requests_per_worker);
    io(emergency_deaths);
    io(emergency_ms);
    io(tmp_bytes);
    io(log_bytes);
    io(ini_from_web);
    io(serving);
    io(program);
    io(ini);
    io(environment);
    io(binds);
    io(seccomp);
    io(network);
    io(resolver);
    io(own_start);
    io(opcache_mib);
    io(opcache_files);
    io(opcache_filled);
  }
};

// Zygote to supervisor: PHP is initialised, Spawn can come.
struct Hello {
  static constexpr std::uint8_t kType = 16;
  std::uint32_t pid = 0;
  std::string php_version;
  std::uint32_t started_in_us = 0;           // what initialising PHP took
  std::vector<std::uint64_t> opcache_bytes;  // the sizes of opcache's shared memory regions

  template <typename Io>
  void fields(Io &io) {
    io(pid);
    io(php_version);
    io(started_in_us);
    io(opcache_bytes);
  }
};

// A process that the zygote has forked to wait for the next Spawn, with a copy of its memory to give away: a
// child of the supervisor's, which is to reap it. Its pidfd comes with this. Unless its exit status is 0, it
// may have taken a Spawn that nobody answers.
struct Spare {
  static constexpr std::uint8_t kType = 19;
  std::uint32_t pid = 0;

  template <typename Io>
  void fields(Io &io) {
    io(pid);
  }
};

// The keeper was cloned; its pidfd comes with this. Whether its view could be built, the keeper itself says
// (keeper_link::Ready or Failed).
struct Spawned {
  static constexpr std::uint8_t kType = 17;
  std::uint32_t request = 0;
  std::uint32_t pid = 0;

  template <typename Io>
  void fields(Io &io) {
    io(request);
    io(pid);
  }
};

struct SpawnFailed {
  static constexpr std::uint8_t kType = 18;
  std::uint32_t request = 0;
  std::string step;  // what was attempted
  std::int32_t error = 0;

  template <typename Io>
  void fields(Io &io) {
    io(request);
    io(step);
    io(error);
  }
};

}  // namespace paddock::zygote_link
