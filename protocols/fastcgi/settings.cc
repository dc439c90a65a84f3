#include "protocols/fastcgi/settings.h"

#include <algorithm>

#include "protocols/fastcgi/record.h"

namespace paddock::fastcgi {

void append_setting(std::string &out, const Setting &setting) {
  std::string name(1, static_cast<char>('0' + (setting.admin ? 1 : 0) + (setting.htaccess ? 2 : 0)));
  name += setting.name;
  append_param(out, name, setting.value);
}

void append_settings_records(std::string &out, std::uint16_t request_id, std::string_view content) {
  do {
    const std::string_view piece = content.substr(0, std::min(content.size(), kMaxAlignedContent));
    content.remove_prefix(piece.size());
    const HeaderBytes header = format_header(Type{kSettings}, request_id, piece.size());
    out.append(reinterpret_cast<const char *>(header.data()), header.size());
    out += piece;
  } while (!content.empty());
}

bool SettingsDecoder::next(Setting &setting) {
  std::string_view name;
  std::string_view value;
  if (malformed_ || !pairs_.next(name, value)) return false;
  const int kind = name.empty() ? -1 : name[0] - '0';
  if (name.size() < 2 || kind < 0 || kind > 3) {
    malformed_ = true;
    return false;
  }
  setting = {name.substr(1), value, (kind & 1) != 0, (kind & 2) != 0};
  return true;
}

}  // namespace paddock::fastcgi
