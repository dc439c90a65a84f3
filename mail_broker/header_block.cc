#include "mail_broker/header_block.h"

#include <utility>

#include "mail_broker/address_list.h"

namespace paddock::mail_broker {
namespace {

// RFC 5322, 2.2: printable ASCII but the colon. Empty: the line begins no field.
std::string name_in(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  std::string_view name = line.substr(0, colon);
  while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
  std::string lower;
  for (const char c : name) {
    if (c <= ' ' || c > '~') return {};
    lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return lower;
}

bool names_recipients(std::string_view field) {
  return field == "to" || field == "cc" || field == "bcc";
}

constexpr std::string_view kScript = "x-php-originating-script";

bool is_left_out(std::string_view field) {
  return field == "bcc" || field == "resent-bcc" || field == "return-path" || field.starts_with("x-paddock-");
}

}  // namespace

Result<HeaderBlock::Taken> HeaderBlock::take_line(std::string_view line) {
  if (line.empty()) return Taken::kEnd;
  if (line.find('\0') != std::string_view::npos) return Error{"the message holds a NUL"};
  const bool continues = line.front() == ' ' || line.front() == '\t';
  std::string name = continues ? std::string() : name_in(line);
  if (continues ? fields_.empty() : name.empty()) {
    // mbox's separator, which is no part of a message.
    if (fields_.empty() && line.starts_with("From ")) return Taken::kField;
    return Taken::kBodyLine;
  }
  // Where an MTA took it for the end of a line, it would begin a field that nobody has looked at.
  if (line.find('\r') != std::string_view::npos) return Error{"the header holds a carriage return"};
  size_ += line.size() + 1;
  if (size_ > kMost) return Error{"the header is longer than 256 KiB"};
  if (continues) {
    fields_.back().lines.append("\n").append(line);
  } else {
    fields_.push_back({std::move(name), std::string(line)});
  }
  return Taken::kField;
}

Result<std::vector<std::string>> HeaderBlock::recipients() const {
  std::vector<std::string> all;
  for (const auto &field : fields_) {
    if (!names_recipients(field.name)) continue;
    const std::string_view lines = field.lines;
    auto found = addresses_in(lines.substr(lines.find(':') + 1));
    if (!found) return Error{field.name + ": " + found.error().attempt};
    for (auto &address : *found) all.push_back(std::move(address));
  }
  return all;
}

std::string HeaderBlock::rendered(std::string_view tenant) const {
  std::string text = "X-Paddock-Tenant: ";
  text.append(tenant).append("\n");
  bool script = false;
  for (const auto &field : fields_) {
    if (is_left_out(field.name) || (field.name == kScript && std::exchange(script, true))) continue;
    text.append(field.lines).append("\n");
  }
  return text.append("\n");
}

}  // namespace paddock::mail_broker
