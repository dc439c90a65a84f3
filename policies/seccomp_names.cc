#include "policies/seccomp_names.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

namespace paddock::policies {
namespace {

struct Name {
  const char *name;
  std::uint64_t value;
};

#define PADDOCK_NAME(name) \
  { #name, static_cast < std::uint64_t>(name) }
constexpr Name kArguments[] = {
    PADDOCK_NAME(AF_UNIX),
    PADDOCK_NAME(AF_INET),
    PADDOCK_NAME(AF_INET6),
    PADDOCK_NAME(AF_NETLINK),
    PADDOCK_NAME(AF_PACKET),
    PADDOCK_NAME(AF_ALG),
    PADDOCK_NAME(AF_VSOCK),
    PADDOCK_NAME(TCGETS),
    PADDOCK_NAME(TCSETS),
    PADDOCK_NAME(TCSETSW),
    PADDOCK_NAME(TCSETSF),
    PADDOCK_NAME(TCSBRK),
    PADDOCK_NAME(TCXONC),
    PADDOCK_NAME(TCFLSH),
    PADDOCK_NAME(TIOCGWINSZ),
    PADDOCK_NAME(TIOCSWINSZ),
    PADDOCK_NAME(TIOCGPGRP),
    PADDOCK_NAME(TIOCSPGRP),
    PADDOCK_NAME(TIOCGSID),
    PADDOCK_NAME(TIOCSCTTY),
    PADDOCK_NAME(TIOCNOTTY),
    PADDOCK_NAME(TIOCOUTQ),
    PADDOCK_NAME(TIOCGPTN),
    PADDOCK_NAME(TIOCSPTLCK),
    PADDOCK_NAME(TIOCGPTPEER),
    PADDOCK_NAME(FIONREAD),
    PADDOCK_NAME(FIONBIO),
    PADDOCK_NAME(FIOASYNC),
    PADDOCK_NAME(FIOCLEX),
    PADDOCK_NAME(FIONCLEX),
    PADDOCK_NAME(FIGETBSZ),
    PADDOCK_NAME(FICLONE),
    PADDOCK_NAME(FICLONERANGE),
    PADDOCK_NAME(FS_IOC_GETFLAGS),
    PADDOCK_NAME(FS_IOC_FIEMAP),
    PADDOCK_NAME(SIOCGIFCONF),
    PADDOCK_NAME(SIOCGIFNAME),
    PADDOCK_NAME(SIOCGIFINDEX),
    PADDOCK_NAME(SIOCGIFFLAGS),
    PADDOCK_NAME(SIOCGIFADDR),
    PADDOCK_NAME(SIOCGIFNETMASK),
    PADDOCK_NAME(SIOCGIFBRDADDR),
    PADDOCK_NAME(SIOCGIFMTU),
    PADDOCK_NAME(SIOCGIFHWADDR),
    PADDOCK_NAME(SIOCATMARK),
    PADDOCK_NAME(TIOCSTI),
    PADDOCK_NAME(TIOCLINUX),
    PADDOCK_NAME(TIOCSETD),
    PADDOCK_NAME(TIOCCONS),
    PADDOCK_NAME(S_IFIFO),
    PADDOCK_NAME(S_IFREG),
    PADDOCK_NAME(S_IFSOCK),
    PADDOCK_NAME(PR_SET_NAME),
    PADDOCK_NAME(PR_GET_NAME),
    PADDOCK_NAME(PR_SET_PDEATHSIG),
    PADDOCK_NAME(PR_GET_PDEATHSIG),
    PADDOCK_NAME(PR_GET_DUMPABLE),
    PADDOCK_NAME(PR_SET_DUMPABLE),
    PADDOCK_NAME(PR_SET_NO_NEW_PRIVS),
    PADDOCK_NAME(PR_GET_NO_NEW_PRIVS),
    PADDOCK_NAME(PR_CAPBSET_READ),
    PADDOCK_NAME(PR_GET_SECCOMP),
    PADDOCK_NAME(PR_SET_SECCOMP),
    PADDOCK_NAME(PR_SET_VMA),
    PADDOCK_NAME(PR_SET_CHILD_SUBREAPER),
    PADDOCK_NAME(PR_GET_CHILD_SUBREAPER),
    PADDOCK_NAME(PR_GET_TID_ADDRESS),
    PADDOCK_NAME(PR_SET_TIMERSLACK),
    PADDOCK_NAME(PR_GET_TIMERSLACK),
    PADDOCK_NAME(PR_SET_THP_DISABLE),
    PADDOCK_NAME(PR_GET_THP_DISABLE),
    PADDOCK_NAME(PR_GET_KEEPCAPS),
    PADDOCK_NAME(PR_GET_SECUREBITS),
    PADDOCK_NAME(PR_SET_PTRACER),
    PADDOCK_NAME(PER_LINUX),
    PADDOCK_NAME(PER_LINUX32),
    PADDOCK_NAME(ADDR_NO_RANDOMIZE),
    {"PER_QUERY", 0xffffffff},
};

constexpr Name kErrors[] = {
    PADDOCK_NAME(EPERM),        PADDOCK_NAME(ENOSYS), PADDOCK_NAME(EACCES),     PADDOCK_NAME(EINVAL),
    PADDOCK_NAME(EAFNOSUPPORT), PADDOCK_NAME(ENOTTY), PADDOCK_NAME(EOPNOTSUPP),
};
#undef PADDOCK_NAME

template <std::size_t size>
std::vector<std::string> names_of(const Name (&table)[size]) {
  std::vector<std::string> names;
  for (const auto &entry : table) names.emplace_back(entry.name);
  return names;
}

template <std::size_t size>
std::optional<std::uint64_t> value_of(const Name (&table)[size], std::string_view name) {
  for (const auto &entry : table)
    if (name == entry.name) return entry.value;
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> argument_value(std::string_view name) {
  return value_of(kArguments, name);
}

std::vector<std::string> argument_names() {
  return names_of(kArguments);
}

std::optional<int> refusal_value(std::string_view name) {
  const auto value = value_of(kErrors, name);
  if (!value) return std::nullopt;
  return static_cast<int>(*value);
}

std::string refusal_name(int value) {
  for (const auto &entry : kErrors)
    if (entry.value == static_cast<std::uint64_t>(value)) return entry.name;
  return std::to_string(value);
}

std::vector<std::string> refusal_names() {
  return names_of(kErrors);
}

}  // namespace paddock::policies
