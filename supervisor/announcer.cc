#include "supervisor/announcer.h"

#include <algorithm>
#include <utility>

#include "accounting/snapshot.h"
#include "base/log.h"

namespace paddock::supervisor {
namespace {

using accounting::Event;

std::string to_json(const Event &event, std::uint64_t untold) {
  return "{\"time_ms\":" + std::to_string(event.time.time_since_epoch().count()) +
         ",\"tenant\":" + accounting::json_string(event.tenant) +
         ",\"kind\":" + accounting::json_string(accounting::to_string(event.kind)) +
         ",\"actor\":" + accounting::json_string(event.actor) +
         ",\"text\":" + accounting::json_string(event.text, Event::kMaxText) +
         ",\"untold\":" + std::to_string(untold) +
         ",\"figures\":" + (event.snapshot.empty() ? "null" : event.snapshot) + "}\n";
}

// The texts may hold what a tenant chose: in a mail, and in a terminal that shows it, they are quoted.
std::string to_mail(const Event &event, std::uint64_t untold, const std::string &address) {
  const std::string kind(accounting::to_string(event.kind));
  std::string mail = "From: Paddock <" + address + ">\nTo: " + address + "\nSubject: Paddock: " + kind +
                     (event.tenant.empty() ? std::string() : " of " + log::quoted(event.tenant)) +
                     "\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n"
                     "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n";
  mail += kind + (event.tenant.empty() ? std::string() : " of tenant " + log::quoted(event.tenant)) + "\n";
  if (!event.text.empty()) mail += log::quoted(event.text, Event::kMaxText) + "\n";
  if (!event.actor.empty()) mail += "by " + log::quoted(event.actor, Event::kMaxActor) + "\n";
  if (untold > 0) mail += std::to_string(untold) + " more of these since the last mail about them\n";
  constexpr std::size_t kFigures = 8192;
  if (!event.snapshot.empty()) {
    mail += "\nFigures at that moment:\n";
    // Lines of a mail are not longer than 998 bytes (RFC 5322, 2.1.1).
    constexpr std::size_t kLine = 200;
    const std::string figures = log::quoted(event.snapshot, kFigures);
    for (std::size_t at = 0; at < figures.size(); at += kLine) mail += figures.substr(at, kLine) + "\n";
  }
  return mail + "\npaddock events tells more.\n";
}

}  // namespace

void AnnouncementLimit::set(std::chrono::seconds every, std::uint32_t most_per_hour) {
  every_ = every;
  most_per_hour_ = most_per_hour;
}

std::optional<std::uint64_t> AnnouncementLimit::pass(accounting::EventKind kind, const std::string &tenant,
                                                     Clock::time_point now) {
  while (!last_hour_.empty() && now - last_hour_.front() >= std::chrono::hours(1)) last_hour_.pop_front();
  if (told_.size() >= kRemembered)
    std::erase_if(told_,
                  [&](const auto &each) { return now - each.second.at >= every_ && each.second.since == 0; });
  const auto found = told_.find({kind, tenant});
  if (found == told_.end() && told_.size() >= kRemembered) return std::nullopt;
  const bool again = found != told_.end() && now - found->second.at < every_;
  if (again || last_hour_.size() >= most_per_hour_) {
    // One that could not be told at all, since too many were, waits for no `every` of its own.
    Told &told = found != told_.end() ? found->second : told_[{kind, tenant}];
    if (found == told_.end()) told.at = now - every_;
    ++told.since;
    return std::nullopt;
  }
  Told &told = told_[{kind, tenant}];
  const std::uint64_t untold = std::exchange(told.since, 0);
  told.at = now;
  last_hour_.push_back(now);
  return untold;
}

void Announcer::set(const policies::Config &config) {
  notify_ = config.notify;
  limit_.set(notify_.every, notify_.most_per_hour);
  uid_ = config.runtime.notify_uid;
  gid_ = config.runtime.notify_gid;
}

void Announcer::happened(const Event &event) {
  if (!notify_.wanted()) return;
  const auto &events = notify_.events;
  if (std::find(events.begin(), events.end(), accounting::to_string(event.kind)) == events.end()) return;
  if (const auto untold = limit_.pass(event.kind, event.tenant)) send(event, *untold);
}

void Announcer::send(const Event &event, std::uint64_t untold) {
  Notice notice;
  const std::string kind(accounting::to_string(event.kind));
  notice.what = "event " + kind;
  notice.uid = uid_;
  notice.gid = gid_;
  notice.input = to_json(event, untold);
  if (!notify_.command.empty()) {
    notice.command = notify_.command;
    notice.environment = {"PADDOCK_EVENT=" + kind, "PADDOCK_TENANT=" + event.tenant,
                          "PADDOCK_TEXT=" + log::quoted(event.text, Event::kMaxText),
                          "PADDOCK_UNTOLD=" + std::to_string(untold)};
    notifier_.send(notice);
    notice.environment.clear();
  }
  if (!notify_.webhook.empty()) {
    notice.command = webhook_command(notify_.webhook);
    notifier_.send(notice);
  }
  if (!notify_.mail.empty()) {
    notice.command = mail_command(notify_.mail_server, notify_.mail);
    notice.input = to_mail(event, untold, notify_.mail);
    notifier_.send(notice);
  }
}

}  // namespace paddock::supervisor
