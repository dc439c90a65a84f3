// What `doctor` looks at on the machine. Each adds a finding for all that it has looked at, good or bad.
#pragma once

#include <string>
#include <vector>

#include "policies/config.h"
#include "protocols/control/result.h"

namespace paddock::cli {

using Findings = std::vector<control::Finding>;

// `root`: a directory that stands for "/", so that tests can bring their own /proc/sys, /etc and /usr.
void check_kernel(const std::string &release, Findings &findings);
void check_namespaces(const std::string &root, std::size_t tenants, Findings &findings);
void check_php(const std::string &root, const policies::Php &php, Findings &findings);
void check_apache(const std::string &root, Findings &findings);

// Where a plan has network = "nat": whether the kernel can, and the host forwards.
void check_networks(const policies::Config &config, Findings &findings);

// `controllers`: those of cgroup v2 that tenants could be limited with; mount empty: there is no v2.
void check_cgroup(const std::string &mount, bool hybrid, const std::vector<std::string> &controllers,
                  bool allow_missing, Findings &findings);

// Modes and owners of the config's files and of the directories; a directory that does not exist yet is fine,
// since paddockd makes it.
void check_config_files(const policies::Config &config, Findings &findings);
void check_directories(const policies::Config &config, Findings &findings);

}  // namespace paddock::cli
