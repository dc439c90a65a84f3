// The header of a message: taken apart line by line, put together again with what is ours.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace paddock::mail_broker {

class HeaderBlock {
 public:
  static constexpr std::size_t kMost = 256 * 1024;

  enum class Taken {
    kField,     // it was a part of the header
    kEnd,       // the empty line that ends it
    kBodyLine,  // the header has ended without one: this line is of the body
  };
  // The next line, without its end ("\n" or "\r\n"). Errors, for the tenant: too long, a NUL or a CR within.
  [[nodiscard]] Result<Taken> take_line(std::string_view line);

  // Everybody whom To, Cc and Bcc name.
  [[nodiscard]] Result<std::vector<std::string>> recipients() const;
  // The header with an empty line, for an MTA: what the tenant may not say (X-Paddock-...), or nobody is to
  // see (Bcc), is left out; X-Paddock-Tenant is put in front. Of X-PHP-Originating-Script only the first is
  // kept: PHP's mail() puts its own before what a script adds.
  [[nodiscard]] std::string rendered(std::string_view tenant) const;

 private:
  struct Field {
    std::string name;   // in lower case
    std::string lines;  // as they came, with "\n" between them
  };

  std::vector<Field> fields_;
  std::size_t size_ = 0;
};

}  // namespace paddock::mail_broker
