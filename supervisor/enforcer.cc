#include "supervisor/enforcer.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "accounting/snapshot.h"
#include "base/log.h"
#include "policies/units.h"
#include "supervisor/tenant.h"

namespace paddock::supervisor {
namespace {

using accounting::EventKind;
using accounting::Firing;
using rules::Consequence;
using std::chrono::system_clock;

constexpr auto kExpireInterval = std::chrono::minutes(10);

std::optional<system_clock::time_point> end_of(const rules::Action &action) {
  if (action.duration.count() == 0) return std::nullopt;
  return system_clock::now() + action.duration;
}

// "throttle to small for 1h"
std::string description_of(const rules::Action &action) {
  std::string text(to_string(action.consequence));
  if (action.consequence == Consequence::kThrottle) text += " to " + action.plan;
  const bool lasts = action.consequence == Consequence::kThrottle ||
                     action.consequence == Consequence::kFreeze || action.consequence == Consequence::kBlock;
  if (lasts && action.duration.count() > 0) text += " for " + policies::format_duration(action.duration);
  return text;
}

std::string actor_of(const Firing &firing) {
  return "rule " + firing.rule;
}

std::string to_json(const Firing &firing, const std::string &text) {
  return "{\"time_ms\":" + std::to_string(firing.time.time_since_epoch().count()) +
         ",\"tenant\":" + accounting::json_string(firing.tenant) +
         ",\"rule\":" + accounting::json_string(firing.rule) +
         ",\"action\":" + accounting::json_string(to_string(firing.action.consequence)) +
         ",\"text\":" + accounting::json_string(text, 1024) +
         ",\"dry_run\":" + (firing.dry_run ? "true" : "false") + ",\"figures\":" + firing.to_json() + "}\n";
}

}  // namespace

void Enforcer::set_rules(const policies::Config &config) {
  std::vector<rules::Rule> all;
  for (const auto &[name, entry] : config.rules) all.push_back(entry.rule);
  evaluator_.set_rules(std::move(all));
  notify_uid_ = config.runtime.notify_uid;
  notify_gid_ = config.runtime.notify_gid;
}

void Enforcer::restore() {
  std::chrono::seconds longest{0};
  for (const auto &rule : evaluator_.rules()) longest = std::max(longest, rule.cooldown);
  if (longest.count() == 0) return;
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(system_clock::now());
  accounting::EventFilter filter;
  filter.since = now - longest;
  filter.kinds = {EventKind::kRuleFired};
  filter.limit = 100'000;
  filter.newest = true;
  const auto fired = accountant_.events().list(filter, now);
  if (!fired) return log::error("rules: their cooldowns begin anew: " + fired.error().message());
  const std::string prefix = actor_of({});
  for (const auto &event : *fired)
    if (event.actor.starts_with(prefix))
      evaluator_.restore(event.actor.substr(prefix.size()), event.tenant, event.time);
}

void Enforcer::observe(const std::string &tenant, accounting::Time end, std::chrono::milliseconds length,
                       const accounting::Usage &usage) {
  if (evaluator_.rules().empty()) return;
  if (end - expired_ >= kExpireInterval || end < expired_) {
    expired_ = end;
    evaluator_.expire(end);
  }
  // Not from here: the books are open, and a kill changes them.
  for (Firing &firing : evaluator_.observe(tenant, end, length, usage))
    boost::asio::post(io_, [this, firing = std::move(firing)] { fired(firing); });
}

void Enforcer::fired(const Firing &firing) {
  Tenant *const tenant = find_(firing.tenant);
  if (tenant == nullptr) return;
  const std::string text =
      firing.text() + (firing.dry_run ? "; dry run, would: " : "; ") + description_of(firing.action);
  log::warning(firing.tenant + ": rule " + firing.rule + ": " + text);
  accountant_.note(EventKind::kRuleFired, firing.tenant, actor_of(firing), text, firing.to_json());
  notify(firing, text);
  if (!firing.dry_run) act(*tenant, firing);
}

void Enforcer::act(Tenant &tenant, const Firing &firing) {
  const std::string text = firing.text();
  const auto note = [&](EventKind kind) { accountant_.note(kind, firing.tenant, actor_of(firing), text); };
  Result<void> done;
  switch (firing.action.consequence) {
    case Consequence::kNotify:
      return;
    case Consequence::kThrottle:
      note(EventKind::kThrottle);
      done = tenant.throttle(firing.action.plan, end_of(firing.action));
      break;
    case Consequence::kFreeze:
      // What the admin has frozen shall not thaw by itself.
      if (tenant.frozen()) return;
      note(EventKind::kFreeze);
      done = tenant.freeze(end_of(firing.action));
      break;
    case Consequence::kKill:
      note(EventKind::kKill);
      tenant.kill();
      return;
    case Consequence::kBlock:
      // Not over a block of the admin's, which may last longer.
      if (tenant.block_in_force() != nullptr) return;
      note(EventKind::kBlock);
      done = tenant.block({actor_of(firing) + ": " + text, end_of(firing.action)});
      break;
  }
  if (!done) log::error(firing.tenant + ": rule " + firing.rule + ": " + done.error().message());
}

void Enforcer::notify(const Firing &firing, const std::string &text) {
  Notice notice;
  notice.environment = {"PADDOCK_RULE=" + firing.rule, "PADDOCK_TENANT=" + firing.tenant,
                        "PADDOCK_ACTION=" + std::string(to_string(firing.action.consequence)),
                        "PADDOCK_TEXT=" + text,
                        std::string("PADDOCK_DRY_RUN=") + (firing.dry_run ? "1" : "0")};
  notice.input = to_json(firing, text);
  notice.uid = notify_uid_;
  notice.gid = notify_gid_;
  notice.what = actor_of(firing);
  if (!firing.action.command.empty()) {
    notice.command = firing.action.command;
    notifier_.send(notice);
  }
  if (!firing.action.webhook.empty()) {
    notice.command = webhook_command(firing.action.webhook);
    notifier_.send(notice);
  }
}

}  // namespace paddock::supervisor
