// The kinds of events, by the names that the config and the books have for them (accounting/event.h says what
// they mean, and checks that these are all).
#pragma once

#include <array>
#include <string_view>

namespace paddock::rules {

inline constexpr std::array<std::string_view, 24> kEventNames = {
    "start",        "stop",         "crash",      "oom-kill",   "limit-cpu",       "limit-memory",
    "limit-pids",   "limit-io",     "queue-full", "deadline",   "block",           "unblock",
    "kill",         "freeze",       "thaw",       "throttle",   "unthrottle",      "login",
    "login-failed", "mail-refused", "link",       "rule-fired", "corrupt-history", "events-lost"};

}  // namespace paddock::rules
