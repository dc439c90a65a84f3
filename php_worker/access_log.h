// PHP-FPM's access log: a line a request in the plan's access_format, to the keeper, which writes the file.
//
// What PHP alone knows of a request (its memory, the account that authenticated, headers of the answer) is
// noted while the request ends, and only where somebody asks.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "php_worker/params.h"
#include "protocols/fastcgi/figures.h"
#include "protocols/zygote_link/zygote_link.h"

namespace paddock::php_worker {

// Of the request that PHP has just ended.
struct RequestDetails {
  std::uint64_t memory = 0;  // peak, bytes
  std::string user;
  std::vector<std::string> headers;  // values, in the order of wanted_headers
};
struct DetailsWanted {
  bool user = false;
  std::vector<std::string> headers;  // names
};
RequestDetails &request_details();
DetailsWanted &details_wanted();

class AccessLog {
 public:
  // pipe: whole lines are written there, up to PIPE_BUF bytes; invalid: there is no log.
  AccessLog(const zygote_link::AccessLog &settings, std::string pool, BorrowedFd pipe);

  [[nodiscard]] bool is_kept() const { return pipe_.valid(); }
  // A request ends that began at `begun`.
  void write(const Params &params, unsigned status, std::time_t begun, const fastcgi::Figures &figures) const;

 private:
  struct Item {
    char code = 0;         // 0: the text as it is
    std::string argument;  // what stands in braces
  };

  void parse(std::string_view format);
  [[nodiscard]] bool is_suppressed(const Params &params, unsigned status) const;
  [[nodiscard]] std::string text_of(const Item &item, const Params &params, unsigned status,
                                    std::time_t begun, const fastcgi::Figures &figures) const;

  BorrowedFd pipe_;
  std::string pool_;
  std::vector<std::string> suppressed_;
  std::vector<Item> items_;
};

}  // namespace paddock::php_worker
