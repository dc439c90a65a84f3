#include "cli/host_checks.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "policies/socket_path.h"

using namespace paddock;
using namespace paddock::cli;
using control::FindingSeverity;

namespace {

struct Directory {
  std::string path = "/tmp/paddock-cli-XXXXXX";
  Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
  void write(const std::string &name, const std::string &text = "") const {
    std::filesystem::create_directories(std::filesystem::path(path + "/" + name).parent_path());
    std::ofstream(path + "/" + name) << text;
  }
};

bool all_fine(const Findings &findings) {
  for (const auto &finding : findings)
    if (finding.severity != FindingSeverity::kOk) return false;
  return !findings.empty();
}

bool has(const Findings &findings, FindingSeverity severity, const std::string &words) {
  for (const auto &finding : findings)
    if (finding.severity == severity && finding.message.find(words) != std::string::npos) {
      // What is wrong comes with a way out.
      CHECK((severity == FindingSeverity::kOk) == finding.mend.empty());
      return true;
    }
  return false;
}

}  // namespace

TEST_CASE("kernels") {
  for (const char *good : {"5.14", "5.14.0-rc1", "6.1.0-31-amd64", "10.0"}) {
    Findings findings;
    check_kernel(good, findings);
    CHECK(all_fine(findings));
  }
  for (const char *old : {"5.13.19", "5.9", "4.19.0-27-amd64", "", "linux"}) {
    Findings findings;
    check_kernel(old, findings);
    INFO(old);
    CHECK(has(findings, FindingSeverity::kError, "older than 5.14"));
  }
}

TEST_CASE("namespaces") {
  const Directory root;
  Findings findings;
  check_namespaces(root.path, 5, findings);
  CHECK(findings.size() == 6);
  CHECK(has(findings, FindingSeverity::kError, "this kernel has no user namespaces"));
  for (const char *kind : {"user", "mnt", "pid", "ipc", "uts", "cgroup"})
    root.write(std::string("proc/sys/user/max_") + kind + "_namespaces", "6\n");
  findings.clear();
  check_namespaces(root.path, 5, findings);
  CHECK(all_fine(findings));
  findings.clear();
  check_namespaces(root.path, 6, findings);
  CHECK(findings.size() == 6);
  CHECK(has(findings, FindingSeverity::kError, "pid namespaces: 6 are allowed, 6 tenants need more"));
  root.write("proc/sys/user/max_user_namespaces", "0\n");
  findings.clear();
  check_namespaces(root.path, 0, findings);
  CHECK(has(findings, FindingSeverity::kError, "user namespaces: 0 are allowed"));
}

TEST_CASE("cgroups") {
  const std::vector<std::string> all = {"cpuset", "cpu", "io", "memory", "pids"};
  Findings findings;
  check_cgroup("/sys/fs/cgroup", false, all, false, findings);
  CHECK(all_fine(findings));
  findings.clear();
  check_cgroup("", false, {}, true, findings);
  CHECK(has(findings, FindingSeverity::kError, "mounted nowhere"));
  findings.clear();
  check_cgroup("/u", true, {"pids"}, false, findings);
  CHECK(has(findings, FindingSeverity::kError, "without cpu, memory, io: paddockd will not start"));
  findings.clear();
  check_cgroup("/u", true, {"pids"}, true, findings);
  CHECK(has(findings, FindingSeverity::kWarning, "without cpu, memory, io: those limits are not enforced"));
  findings.clear();
  check_cgroup("/u", false, {"cpu", "memory", "pids"}, false, findings);
  CHECK(has(findings, FindingSeverity::kWarning, "without io"));
}

TEST_CASE("PHP and Apache") {
  const Directory root;
  Findings findings;
  check_php(root.path, {"8.2", "", "/etc/php"}, findings);
  CHECK(has(findings, FindingSeverity::kError, "libphp8.2.so is not there"));
  CHECK(has(findings, FindingSeverity::kWarning, "there is no /etc/php/php.ini"));
  root.write("usr/lib/libphp8.2.so");
  root.write("etc/php/php.ini");
  findings.clear();
  check_php(root.path, {"8.2", "", "/etc/php"}, findings);
  CHECK(has(findings, FindingSeverity::kOk, "/usr/lib/libphp8.2.so"));
  CHECK(has(findings, FindingSeverity::kWarning, "opcache is not enabled"));
  root.write("etc/php/conf.d/10-opcache.ini");
  findings.clear();
  check_php(root.path, {"8.2", "", "/etc/php"}, findings);
  CHECK(all_fine(findings));

  findings.clear();
  check_apache(root.path, findings);
  CHECK(all_fine(findings));
  root.write("usr/sbin/apache2");
  root.write("etc/apache2/mods-enabled/proxy.load");
  root.write("etc/apache2/mods-enabled/mpm_prefork.load");
  root.write("etc/apache2/mods-enabled/php8.2.load");
  findings.clear();
  check_apache(root.path, findings);
  CHECK(findings.size() == 3);
  CHECK(has(findings, FindingSeverity::kWarning, "not enabled: proxy_fcgi"));
  CHECK(has(findings, FindingSeverity::kWarning, "prefork"));
  CHECK(has(findings, FindingSeverity::kWarning, "mod_php"));

  const Directory sites;
  sites.write("usr/sbin/apache2");
  for (const char *module : {"proxy", "proxy_fcgi"})
    sites.write(std::string("etc/apache2/mods-enabled/") + module + ".load");
  const std::string handler = "SetHandler \"proxy:unix:/run/x.sock|fcgi://alice\"\n";
  sites.write("etc/apache2/sites-enabled/alice.conf", handler + "  AllowOverride All Nonfatal=Unknown\n");
  sites.write("etc/apache2/sites-enabled/static.conf", "AllowOverride All\n");
  sites.write("etc/apache2/sites-enabled/none.conf", handler + "AllowOverride None\n");
  findings.clear();
  check_apache(sites.path, findings);
  CHECK(all_fine(findings));
  sites.write("etc/apache2/sites-enabled/bob.conf", handler + "\tallowoverride all\n");
  check_apache(sites.path, findings);
  CHECK(has(findings, FindingSeverity::kWarning, "bob.conf: AllowOverride without Nonfatal=Unknown"));
}

TEST_CASE("owners and modes") {
  const Directory root;
  policies::Config config;
  config.apache_gid = ::getegid();
  config.runtime.run_dir = root.path + "/run";
  config.runtime.state_dir = root.path + "/state";
  config.runtime.log_dir = root.path + "/log";
  config.file = root.path + "/paddock.toml";
  config.files = {config.file};
  const auto look = [&] {
    Findings findings;
    check_directories(config, findings);
    check_config_files(config, findings);
    return findings;
  };
  CHECK(all_fine(look()));

  root.write("paddock.toml");
  for (const char *directory : {"/run", "/state", "/log", "/run/sockets"})
    REQUIRE(::mkdir((root.path + directory).c_str(), 0700) == 0);
  REQUIRE(::chmod((root.path + "/run").c_str(), 0711) == 0);
  CHECK(has(look(), FindingSeverity::kError, "cannot reach"));
  REQUIRE(::chmod((root.path + "/run/sockets").c_str(), 0710) == 0);
  REQUIRE(policies::load_or_create_socket_key(config.runtime.state_dir).ok());
  CHECK(all_fine(look()));

  REQUIRE(::chmod((root.path + "/run/sockets").c_str(), 0711) == 0);
  CHECK(has(look(), FindingSeverity::kError, "is open to everybody (0711)"));
  REQUIRE(::chmod((root.path + "/run/sockets").c_str(), 0750) == 0);
  CHECK(has(look(), FindingSeverity::kError, "can list or change"));
  REQUIRE(::chmod((root.path + "/run/sockets").c_str(), 0710) == 0);
  config.apache_gid += 1;
  CHECK(has(look(), FindingSeverity::kError, "cannot reach"));
  config.apache_gid -= 1;
  REQUIRE(::chmod((root.path + "/log").c_str(), 0777) == 0);
  CHECK(has(look(), FindingSeverity::kError, "/log can be written by others (0777)"));
  REQUIRE(::chmod((root.path + "/log").c_str(), 0755) == 0);
  REQUIRE(::chmod(config.file.c_str(), 0646) == 0);
  CHECK(has(look(), FindingSeverity::kError, "can be written by everybody"));
  REQUIRE(::chmod(config.file.c_str(), 0644) == 0);
  if (::geteuid() == 0) {
    REQUIRE(::chmod((root.path + "/state/socket.key").c_str(), 0644) == 0);
    CHECK(has(look(), FindingSeverity::kError, "socket.key"));
    REQUIRE(::chmod((root.path + "/state/socket.key").c_str(), 0600) == 0);
    REQUIRE(::chown(config.file.c_str(), 12345, 12345) == 0);
    CHECK(has(look(), FindingSeverity::kError, "belongs to uid 12345"));
    REQUIRE(::chown(config.file.c_str(), 0, 0) == 0);
  }
  CHECK(all_fine(look()));
}
