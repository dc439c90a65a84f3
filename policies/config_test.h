// A machine for the config's tests: the accounts alice, bob, root and those of the system; files on the real
// one.
#pragma once

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "policies/config_file.h"

namespace paddock::policies {

inline Machine test_machine() {
  Machine machine = this_machine();
  machine.cpus = 0;
  machine.memory_bytes = 0;
  machine.account = [](const std::string &user) -> Result<std::optional<Account>> {
    if (user == "alice") return std::optional(Account{1001, 1001, "/home/alice"});
    if (user == "bob") return std::optional(Account{1002, 1002, "/home/bob"});
    if (user == "homeless") return std::optional(Account{1003, 1003, "/"});
    if (user == "root") return std::optional(Account{0, 0, "/root"});
    if (user == "operator") return std::optional(Account{1004, 0, "/home/operator"});
    if (user == "www-data") return std::optional(Account{33, 33, "/var/www"});
    if (user == "nobody") return std::optional(Account{65534, 65534, "/nonexistent"});
    if (user == "paddock-gateway") return std::optional(Account{990, 990, "/nonexistent"});
    if (user == "unlucky") return errno_error("look up unlucky", EIO);
    return std::optional<Account>();
  };
  machine.group = [](const std::string &group) -> Result<std::optional<gid_t>> {
    if (group == "staff") return std::optional<gid_t>(50);
    if (group == "unlucky") return errno_error("look up unlucky", EIO);
    return std::optional<gid_t>();
  };
  machine.home_problem = [](const std::string &home, uid_t) -> std::string {
    return home == "/home/bob/gone" ? "cannot be used: No such file or directory" : "";
  };
  machine.exists = [](const std::string &path) { return path.find("missing") == std::string::npos; };
  return machine;
}

inline Loaded parse(const std::string &text) {
  return parse_config(text, "/etc/paddock.toml", test_machine());
}

// A private directory of config files.
struct Directory {
  std::string path = "/tmp/paddock-policies-XXXXXX";
  Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
  void write(const std::string &name, const std::string &text) const {
    std::filesystem::create_directories(std::filesystem::path(path + "/" + name).parent_path());
    std::ofstream(path + "/" + name) << text;
  }
  [[nodiscard]] Loaded load() const { return load_config(path + "/paddock.toml", test_machine()); }
};

inline std::string report(const std::vector<Diagnostic> &diagnostics) {
  std::string out;
  for (const auto &found : diagnostics) out += found.to_string() + "\n";
  return out;
}

inline std::string report(const Loaded &loaded) {
  return report(loaded.diagnostics);
}

}  // namespace paddock::policies
