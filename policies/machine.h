// What load_config() asks the machine: accounts, groups, files. Tests and the fuzzer answer in its place.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ipv4.h"
#include "base/result.h"

namespace paddock::policies {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;
};

// Addresses that this machine has, or knows the way to.
struct KnownNetwork {
  Ipv4Range range;
  std::string interface;
};

struct Machine {
  // nullopt: there is no such account. An Error: NSS could not say (a directory service is down).
  std::function<Result<std::optional<Account>>(const std::string &user)> account;
  std::function<Result<std::optional<gid_t>>(const std::string &group)> group;
  std::function<Result<std::string>(const std::string &path, std::size_t limit)> read;
  // The files that a glob(7) pattern names, sorted by byte value.
  std::function<std::vector<std::string>(const std::string &pattern)> expand;
  std::function<bool(const std::string &path)> exists;
  // Why `home` cannot be the home of `uid` ("is not a directory"); empty: it can.
  std::function<std::string(const std::string &home, uid_t uid)> home_problem;
  // Without those of tenants, and without what everything is covered by (a default route).
  std::function<std::vector<KnownNetwork>()> networks;
  // 0: not known, and nothing is compared with it.
  unsigned cpus = 0;
  std::uint64_t memory_bytes = 0;
};

// This machine, by NSS and stat(2).
//
// Where nsswitch.conf(5) asks "files" first, /etc/passwd is read once: getpwnam(3) reads it from the start
// for each name, which for 10,000 tenants means 10,000 times; kOneByOne is for who asks for a few. Names that
// are not in it go to getpwnam_r(3) one by one. A home below an autofs mount is taken on trust, since looking
// would mount every one, and so is what a file server has that does not answer within PathLooker::kPatience.
enum class AccountLookup : std::uint8_t { kInBulk, kOneByOne };
[[nodiscard]] Machine this_machine(AccountLookup accounts = AccountLookup::kInBulk);

}  // namespace paddock::policies
