#include "htaccess/settings.h"

namespace paddock::htaccess {
namespace {

// Up to here comparing every name is quicker than hashing; above it, a file of 1 MiB must not cost the square
// of its lines.
constexpr std::size_t kLinear = 24;

}  // namespace

std::size_t SettingList::position(std::string_view name) const {
  if (items_.size() <= kLinear) {
    std::size_t at = 0;
    while (at < items_.size() && items_[at].name != name) ++at;
    return at;
  }
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? items_.size() : found->second;
}

void SettingList::set(std::string_view name, std::string_view value) {
  const std::size_t at = position(name);
  if (at < items_.size()) {
    items_[at].value = value;
    return;
  }
  items_.push_back({std::string(name), std::string(value)});
  if (items_.size() <= kLinear) return;
  if (index_.empty())
    for (std::size_t i = 0; i < items_.size(); ++i) index_.emplace(items_[i].name, i);
  else
    index_.emplace(items_.back().name, items_.size() - 1);
}

void SettingList::merge(const SettingList &deeper) {
  if (items_.empty()) {
    *this = deeper;
    return;
  }
  for (const Setting &setting : deeper.items_) set(setting.name, setting.value);
}

const Setting *SettingList::find(std::string_view name) const {
  const std::size_t at = position(name);
  return at < items_.size() ? &items_[at] : nullptr;
}

std::string Diagnostic::to_string() const {
  return file + ":" + std::to_string(line) + ": " + message;
}

}  // namespace paddock::htaccess
