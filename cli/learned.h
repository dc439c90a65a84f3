// `paddock policy learned`: what a tenant's plan would refuse, as the kernel has logged it in learning mode.
#pragma once

#include <sys/types.h>
#include <map>
#include <string>
#include <string_view>

#include "cli/session.h"

namespace paddock::cli {

// Adds the calls that `log` says `uid` made and a filter logged (audit records of type SECCOMP, 1326, as
// include/uapi/linux/audit.h numbers them): by number, how often. Other lines are skipped, whatever they
// hold.
void count_logged_calls(std::string_view log, uid_t uid, std::map<int, std::uint64_t> &calls);

// Prints them, from the kernel's log and auditd's, as far back as these go. Root only.
ExitStatus learned_policy(const Session &session, const std::string &tenant);

}  // namespace paddock::cli
