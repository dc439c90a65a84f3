// The rights that a tenant's process keeps: none. Each call is safe between clone and exec, acts on the
// calling thread and returns 0 or an errno value.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

namespace paddock::sandbox {

// No supplementary groups, then gid and uid: real, effective and saved. Needs both mapped in the user
// namespace. Inside one that does not map uid 0 all capabilities stay (capabilities(7), "Effect of user ID
// changes on capabilities").
[[nodiscard]] int become(uid_t uid, gid_t gid);

// A session keyring of its own (keyctl(2)): keys of whoever started us are out of reach. A kernel without
// keys is fine.
[[nodiscard]] int join_session_keyring();

// RLIMIT_CORE 0, hard: a dump would hold a tenant's data, and core_pattern's handler runs on the host.
[[nodiscard]] int forbid_core_dumps();

// Empties the bounding, ambient, inheritable, permitted and effective sets and locks the securebits, so that
// no uid and no exec brings a capability back. Needs CAP_SETPCAP.
[[nodiscard]] int drop_capabilities();

// PR_SET_NO_NEW_PRIVS: set-user-ID bits and file capabilities do nothing from here on.
[[nodiscard]] int set_no_new_privs();

// A filter for the calling thread and its children; null: none. Needs no_new_privs.
[[nodiscard]] int load_seccomp(const sock_fprog *filter);

// Makes 0, 1 and 2 the given descriptors, all above 2; a negative one is /dev/null.
[[nodiscard]] int set_stdio(const int (&sources)[3]);

// Closes every descriptor above 2 but those in the ascending list.
[[nodiscard]] int close_all_but(const int *keep, unsigned count);

}  // namespace paddock::sandbox
