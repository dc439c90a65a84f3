#include "mail_broker/address_list.h"

#include "base/log.h"
#include "protocols/mail/address.h"

namespace paddock::mail_broker {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

class Parser {
 public:
  Result<std::vector<std::string>> parse(std::string_view value) {
    for (std::size_t at = 0; at < value.size(); ++at) {
      const char c = value[at];
      if (c == '\\' && (depth_ > 0 || quoted_)) {
        ++at;
      } else if (depth_ > 0) {
        depth_ += c == '(' ? 1 : c == ')' ? -1 : 0;
      } else if (quoted_) {
        quoted_ = c != '"';
      } else {
        PADDOCK_CHECK(take(c));
      }
    }
    if (depth_ > 0 || quoted_ || place_ == Place::kInAngle)
      return Error{"a list of addresses that does not end"};
    PADDOCK_CHECK(finish());
    return std::move(found_);
  }

 private:
  enum class Place { kBefore, kInAngle, kAfter };

  Result<void> take(char c) {
    switch (c) {
      case '(':
        depth_ = 1;
        return {};
      case '"':
        quoted_ = had_quotes_ = true;
        // Only a display name may be quoted.
        if (place_ != Place::kBefore) return Error{"a quoted address, which is not supported"};
        return {};
      case '<':
        if (place_ != Place::kBefore) return Error{"an address with two '<'"};
        place_ = Place::kInAngle;
        text_.clear();
        return {};
      case '>':
        if (place_ != Place::kInAngle) return Error{"an address with a '>' and no '<'"};
        place_ = Place::kAfter;
        return {};
      case ',':
      case ';':
        if (place_ == Place::kInAngle) break;
        return finish();
      case ':':
        if (place_ != Place::kBefore || text_.find('[') != std::string::npos) break;
        text_.clear();  // the name of a group
        had_quotes_ = false;
        return {};
      default:
        break;
    }
    if (place_ == Place::kAfter) {
      if (!is_space(c)) return Error{"text after an address: " + log::quoted(text_, 80)};
    } else {
      text_ += c;
    }
    return {};
  }

  Result<void> finish() {
    const std::string_view address = trimmed(text_);
    if (place_ == Place::kBefore && address.empty() && !had_quotes_) return {};  // "a@b,,c@d"
    if ((place_ == Place::kBefore && had_quotes_) || !mail::is_plain_address(address))
      return Error{"not an address: " + log::quoted(address, 80)};
    found_.emplace_back(address);
    text_.clear();
    place_ = Place::kBefore;
    had_quotes_ = false;
    return {};
  }

  std::vector<std::string> found_;
  std::string text_;
  Place place_ = Place::kBefore;
  int depth_ = 0;  // of comments
  bool quoted_ = false;
  bool had_quotes_ = false;
};

}  // namespace

Result<std::vector<std::string>> addresses_in(std::string_view value) {
  return Parser().parse(value);
}

}  // namespace paddock::mail_broker
