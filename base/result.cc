#include "base/result.h"

#include <cstring>

namespace paddock {

std::string Error::message() const {
  if (code == 0) return attempt;
  char text[128];
  return attempt + ": " + ::strerror_r(code, text, sizeof text);
}

Error errno_error(std::string attempt) {
  const int code = errno;
  return {std::move(attempt), code};
}

}  // namespace paddock
