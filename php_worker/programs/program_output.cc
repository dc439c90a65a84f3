#include "php_worker/programs/program_output.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "php_worker/request_intake.h"
#include "php_worker/sapi.h"

namespace paddock::php_worker::programs {
namespace {

// Where the header block ends, the empty line included; npos: not yet.
std::size_t end_of_header(std::string_view text) {
  for (std::size_t line = 0;;) {
    const std::size_t end = text.find('\n', line);
    if (end == std::string_view::npos) return end;
    if (end == line || (end == line + 1 && text[line] == '\r')) return end + 1;
    line = end + 1;
  }
}

unsigned number_in(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  unsigned number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool starts_with_name(std::string_view line, std::string_view name) {
  return line.size() >= name.size() && ::strncasecmp(line.data(), name.data(), name.size()) == 0;
}

struct Head {
  unsigned status = 0;     // "Status: 404 Not Found"; 0: nothing says it
  bool elsewhere = false;  // there is a Location, and it is no path of the site's own
};

Head read_head(std::string_view header) {
  Head head;
  while (!header.empty()) {
    const std::size_t end = std::min(header.find('\n'), header.size() - 1);
    const std::string_view line = header.substr(0, end);
    header.remove_prefix(end + 1);
    if (starts_with_name(line, "Status:") && head.status == 0) head.status = number_in(line.substr(7));
    if (starts_with_name(line, "Location:"))
      head.elsewhere = !line.substr(std::min(line.find_first_not_of(" \t", 9), line.size())).starts_with('/');
  }
  return head;
}

}  // namespace

bool ProgramOutput::take(std::span<const char> piece) {
  if (refused_) return false;
  if (header_passed_) {
    unflushed_ = true;
    return connection_.write(piece.data(), piece.size());
  }
  header_.append(piece.data(), piece.size());
  return take_header();
}

bool ProgramOutput::take_header() {
  const std::size_t size = end_of_header(header_);
  if (size == std::string::npos) {
    if (header_.size() <= kMaxHeader) return true;
    refused_ = true;
    return false;
  }
  // A script that speaks HTTP itself (nph-…, RFC 3875, section 5): its status line says the same as Status.
  if (header_.starts_with("HTTP/")) {
    const std::size_t space = std::min(header_.find(' '), header_.find('\n'));
    header_.replace(0, space, "Status:");
    return take_header();
  }
  const std::string_view block = std::string_view(header_).substr(0, size);
  // A block without a header is none.
  if (block.find(':') == std::string_view::npos || block.find('\0') != std::string_view::npos) {
    refused_ = true;
    return false;
  }
  const Head head = read_head(block);
  // A Location without a status means 302 (RFC 3875, 6.2.3); not every web server knows. One that is a path
  // the web server goes to itself (6.2.2).
  const bool redirects = head.status == 0 && head.elsewhere;
  status_ = head.status != 0 ? head.status : redirects ? 302 : 200;
  header_passed_ = true;
  unflushed_ = true;
  const std::string whole = std::move(header_);
  header_.clear();
  static constexpr std::string_view kFound = "Status: 302 Found\r\n";
  if (redirects) connection_.write(kFound.data(), kFound.size());
  return connection_.write(whole.data(), whole.size());
}

void ProgramOutput::flush() {
  if (!unflushed_) return;
  unflushed_ = false;
  connection_.flush();
}

void ProgramOutput::end_after(std::string_view why, bool body_failed) {
  if (why == kLate) return end(why, "504 Gateway Timeout", "The program of this site took too long.\n");
  if (body_failed) return end(why, "400 Bad Request", "Bad request.\n");
  end(why);
}

void ProgramOutput::end(std::string_view why, std::string_view status, std::string_view text) {
  if (!header_passed_) {
    log_line(refused_ ? "the program's answer has no header" : "the program gave no answer", why);
    status_ = answer_plainly(connection_, status, text);
  } else if (!why.empty()) {
    log_line("the program's answer may be cut", why);
  }
  connection_.finish();
}

}  // namespace paddock::php_worker::programs
