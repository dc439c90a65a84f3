// The config is read again: all of it, or one tenant's part.
#include <algorithm>

#include "base/log.h"
#include "policies/config_file.h"
#include "policies/tenant_file.h"
#include "supervisor/supervisor.h"

namespace paddock::supervisor {
namespace {

using control::FindingSeverity;

void note(control::Reloaded &summary, FindingSeverity severity, const std::string &subject,
          const std::string &message) {
  log::warning(subject + ": " + message);
  summary.findings.push_back({severity, subject, message, {}});
}

void note(control::Reloaded &summary, const std::vector<policies::Diagnostic> &diagnostics, bool usable) {
  for (const auto &diagnostic : diagnostics)
    note(summary, usable ? FindingSeverity::kWarning : FindingSeverity::kError, diagnostic.where.to_string(),
         diagnostic.explanation());
}

Error refusal_of(const std::vector<policies::Diagnostic> &diagnostics) {
  return Error{"the config has errors and changes nothing; the first: " + diagnostics.front().to_string()};
}

void log_summary(const control::Reloaded &summary) {
  log::info("the config was read again: " + std::to_string(summary.added.size()) + " tenants added, " +
            std::to_string(summary.changed.size()) + " changed, " + std::to_string(summary.removed.size()) +
            " removed");
}

}  // namespace

Result<control::Reloaded> Supervisor::reload() {
  auto loaded = policies::load_config(config_->file);
  control::Reloaded summary;
  note(summary, loaded.diagnostics, loaded.config.has_value());
  if (!loaded.config) return refusal_of(loaded.diagnostics);
  const auto fresh = std::make_shared<policies::Config>(std::move(*loaded.config));
  if (fresh->runtime.run_dir != runtime_.run_dir || fresh->runtime.state_dir != runtime_.state_dir ||
      fresh->runtime.log_dir != runtime_.log_dir || fresh->runtime.cgroup != runtime_.cgroup)
    return Error{"run_dir, state_dir, log_dir and cgroup change only with a restart; nothing was changed"};
  if (fresh->nat.range != config_->nat.range && networks_.in_use())
    return Error{"network.range changes only with a restart; nothing was changed"};
  PADDOCK_CHECK(networks_.configure(*fresh));
  // What every tenant shares; the rest of [runtime] needs a restart too, and keeps its old value until then.
  const bool refusals_differ = runtime_.refusal_page != fresh->runtime.refusal_page ||
                               runtime_.reason_header != fresh->runtime.reason_header;
  runtime_.refusal_page = fresh->runtime.refusal_page;
  runtime_.reason_header = fresh->runtime.reason_header;
  runtime_.stop_patience = fresh->runtime.stop_patience;
  config_ = fresh;
  apply_settings();
  gateway_->cap_requests(config_->apache_requests);
  zygotes_->want(*config_);
  try_plans();
  for (const auto &[name, refusal] : refused_plans_)
    note(summary, FindingSeverity::kError, "plan " + name, refusal.message());

  for (auto it = tenants_.begin(); it != tenants_.end();) {
    if (config_->tenants.contains(it->first)) {
      ++it;
      continue;
    }
    summary.removed.push_back(it->first);
    it = remove_tenant(it);
  }
  for (const auto &[name, settings] : config_->tenants) put_tenant(*settings, refusals_differ, summary);
  log_summary(summary);
  return summary;
}

Result<control::Reloaded> Supervisor::reload_tenant(const std::string &name) {
  auto loaded = policies::load_tenant(*config_, name);
  control::Reloaded summary;
  note(summary, loaded.diagnostics, loaded.tenant.has_value());
  if (!loaded.tenant) return refusal_of(loaded.diagnostics);
  const std::shared_ptr<const policies::Tenant> &settings = *loaded.tenant;
  if (!settings && !config_->tenants.contains(name)) return summary;
  if (settings) {
    config_->tenants[name] = settings;
  } else {
    config_->tenants.erase(name);
  }
  zygotes_->want(*config_);
  if (settings) {
    put_tenant(*settings, false, summary);
  } else if (const auto gone = tenants_.find(name); gone != tenants_.end()) {
    summary.removed.push_back(name);
    remove_tenant(gone);
  }
  log_summary(summary);
  return summary;
}

void Supervisor::put_tenant(const policies::Tenant &settings, bool refusals_differ,
                            control::Reloaded &summary) {
  const std::string &name = settings.name;
  if (Tenant *tenant = find(name)) {
    if (refused_plans_.contains(settings.plan))
      return note(summary, FindingSeverity::kError, "tenant " + name,
                  "keeps its old settings: the kernel refuses limits of the plan " + settings.plan);
    const auto changed = tenant->reconfigure(config_, refusals_differ);
    if (!changed)
      return note(summary, FindingSeverity::kError, "tenant " + name,
                  "keeps its old settings: " + changed.error().message());
    if (*changed) summary.changed.push_back(name);
    return;
  }
  if (const auto added = add_tenant(name); !added)
    return note(summary, FindingSeverity::kError, "tenant " + name, added.error().message());
  summary.added.push_back(name);
  // Taken out a moment ago and back: its sandbox of before ends first.
  if (std::any_of(leaving_.begin(), leaving_.end(), [&name](const auto &tenant) {
        return tenant->settings().name == name && tenant->run() != nullptr;
      })) {
    hold_until_empty(name, runtime_.stop_patience);
    watch_left_overs();
  }
  find(name)->introduce_to_gateway();
}

}  // namespace paddock::supervisor
