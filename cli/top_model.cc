#include "cli/top_model.h"

#include <algorithm>
#include <functional>

namespace paddock::cli {
namespace {

// A counter that has begun again (a new sandbox, a new supervisor) tells nothing about the time before.
double rate(std::uint64_t now, std::uint64_t before, double seconds) {
  return now > before && seconds > 0 ? static_cast<double>(now - before) / seconds : 0;
}

double key(const control::TopRow &row, TopOrder order) {
  switch (order) {
    case TopOrder::kCpu:
      return row.cpu_percent;
    case TopOrder::kMemory:
      return static_cast<double>(row.memory_bytes.value_or(0));
    case TopOrder::kRequests:
      return row.requests_per_s;
    case TopOrder::kRefused:
      return row.refused_per_s;
    case TopOrder::kIo:
      return row.io_bytes_per_s;
    case TopOrder::kBusy:
      return row.busy;
    case TopOrder::kPids:
      return static_cast<double>(row.pids.value_or(0));
    case TopOrder::kName:
      break;
  }
  return 0;
}

}  // namespace

void TopModel::take(control::Status status, const control::Samples &samples, Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - taken_at_).count();
  const bool rates = taken_ > 0;
  std::map<std::string, const control::TenantSample *> sampled;
  for (const auto &sample : samples.tenants) sampled[sample.tenant] = &sample;
  std::map<std::string, Seen> seen;
  rows_.clear();
  for (const auto &tenant : status.tenants) {
    control::TopRow row;
    row.tenant = tenant.name;
    row.state = tenant.state;
    row.memory_bytes = tenant.memory_bytes;
    row.pids = tenant.pids;
    row.busy = tenant.busy;
    row.workers = tenant.workers;
    row.workers_max = tenant.workers_max;
    Seen current{tenant.cpu_us.value_or(0), tenant.requests, tenant.refused, 0};
    if (const auto sample = sampled.find(tenant.name); sample != sampled.end())
      current.io_bytes = sample->second->total.io_read_bytes + sample->second->total.io_written_bytes;
    if (const auto before = seen_.find(tenant.name); rates && before != seen_.end()) {
      row.cpu_percent = rate(current.cpu_us, before->second.cpu_us, seconds) / 1e4;
      row.requests_per_s = rate(current.requests, before->second.requests, seconds);
      row.refused_per_s = rate(current.refused, before->second.refused, seconds);
      if (before->second.io_bytes != 0)
        row.io_bytes_per_s = rate(current.io_bytes, before->second.io_bytes, seconds);
    }
    seen.emplace(tenant.name, current);
    rows_.emplace(tenant.name, std::move(row));
  }
  seen_ = std::move(seen);
  status_ = std::move(status);
  taken_at_ = now;
  ++taken_;
}

std::vector<control::TopRow> TopModel::rows(TopOrder order, bool reverse, const std::string &filter) const {
  std::vector<control::TopRow> rows;
  for (const auto &[name, row] : rows_)
    if (name.find(filter) != std::string::npos) rows.push_back(row);
  if (order != TopOrder::kName)
    std::stable_sort(rows.begin(), rows.end(),
                     [order](const auto &a, const auto &b) { return key(a, order) > key(b, order); });
  if (reverse) std::reverse(rows.begin(), rows.end());
  return rows;
}

const control::TenantStatus *TopModel::find(const std::string &tenant) const {
  const auto found = std::find_if(status_.tenants.begin(), status_.tenants.end(),
                                  [&](const auto &each) { return each.name == tenant; });
  return found == status_.tenants.end() ? nullptr : &*found;
}

}  // namespace paddock::cli
