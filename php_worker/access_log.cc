#include "php_worker/access_log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>

namespace paddock::php_worker {
namespace {

std::string or_dash(std::string_view text) {
  return text.empty() ? "-" : std::string(text);
}

std::string decimal(double value, int places) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", places, value);
  return text.data();
}

// FPM takes a strftime(3) format in more braces: "%{%Y-%m-%d}t".
std::string time_text(std::time_t when, std::string format) {
  if (format.empty()) format = "%d/%b/%Y:%H:%M:%S %z";
  tm parts{};
  ::localtime_r(&when, &parts);
  std::array<char, 256> text{};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"  // the admin's own
  return {text.data(), std::strftime(text.data(), text.size(), format.c_str(), &parts)};
#pragma GCC diagnostic pop
}

}  // namespace

RequestDetails &request_details() {
  static RequestDetails details;
  return details;
}

DetailsWanted &details_wanted() {
  static DetailsWanted wanted;
  return wanted;
}

AccessLog::AccessLog(const zygote_link::AccessLog &settings, std::string pool, BorrowedFd pipe)
    : pipe_(settings.format.empty() ? BorrowedFd() : pipe),
      pool_(std::move(pool)),
      suppressed_(settings.suppressed) {
  if (is_kept()) parse(settings.format);
}

void AccessLog::parse(std::string_view format) {
  const auto add_text = [this](std::string_view text) {
    if (items_.empty() || items_.back().code != 0) items_.emplace_back();
    items_.back().argument += text;
  };
  while (!format.empty()) {
    const std::size_t percent = std::min(format.find('%'), format.size());
    if (percent > 0) add_text(format.substr(0, percent));
    format.remove_prefix(std::min(percent + 1, format.size()));
    if (format.empty()) break;
    Item item;
    if (format.front() == '{') {
      const std::size_t end = format.find('}');
      if (end == std::string_view::npos) return add_text(format);
      item.argument = format.substr(1, end - 1);
      format.remove_prefix(end + 1);
      if (format.empty()) break;
    }
    item.code = format.front();
    format.remove_prefix(1);
    if (item.code == '%') {
      add_text("%");
      continue;
    }
    if (item.code == 'u') details_wanted().user = true;
    if (item.code == 'o') details_wanted().headers.push_back(item.argument);
    items_.push_back(std::move(item));
  }
}

// As PHP-FPM: what could be an attack, or went wrong, is always written.
bool AccessLog::is_suppressed(const Params &params, unsigned status) const {
  const std::string_view method = params.get("REQUEST_METHOD");
  const std::string_view length = params.get("CONTENT_LENGTH");
  if (suppressed_.empty() || (method != "GET" && method != "HEAD") || status < 200 || status > 299 ||
      (!length.empty() && length != "0") || !params.get("QUERY_STRING").empty())
    return false;
  return std::find(suppressed_.begin(), suppressed_.end(), params.get("SCRIPT_NAME")) != suppressed_.end();
}

std::string AccessLog::text_of(const Item &item, const Params &params, unsigned status, std::time_t begun,
                               const fastcgi::Figures &figures) const {
  const double taken = static_cast<double>(figures.ended_ns - figures.begun_ns) / 1e9;
  const std::string &argument = item.argument;
  switch (item.code) {
    case 'C':
      return decimal(taken > 0 ? static_cast<double>(figures.cpu_ns) / 1e7 / taken : 0, 2);
    case 'd':
      if (argument.starts_with("mill") || argument == "mili") return decimal(taken * 1e3, 3);
      if (argument.starts_with("micro")) return decimal(taken * 1e6, 0);
      return decimal(taken, 3);
    case 'e':
      return or_dash(params.get(argument));
    case 'f':
      return or_dash(params.get("SCRIPT_FILENAME"));
    case 'l': {
      const std::string_view length = params.get("CONTENT_LENGTH");
      return length.empty() ? "0" : std::string(length);
    }
    case 'm':
      return or_dash(params.get("REQUEST_METHOD"));
    case 'M': {
      const std::uint64_t memory = request_details().memory;
      if (argument.starts_with("kilo")) return std::to_string(memory / 1024);
      if (argument.starts_with("mega")) return std::to_string(memory / 1024 / 1024);
      return std::to_string(memory);
    }
    case 'n':
      return pool_;
    case 'o': {
      const auto &names = details_wanted().headers;
      const auto &values = request_details().headers;
      const auto at =
          static_cast<std::size_t>(std::find(names.begin(), names.end(), argument) - names.begin());
      return or_dash(at < values.size() ? values[at] : "");
    }
    case 'p':
      return std::to_string(::getpid());
    case 'P':
      return std::to_string(::getppid());
    case 'q':
      return std::string(params.get("QUERY_STRING"));
    case 'Q':
      return params.get("QUERY_STRING").empty() ? "" : "?";
    case 'r':
      return or_dash(params.get("SCRIPT_NAME"));
    case 'R':
      return or_dash(params.get("REMOTE_ADDR"));
    case 's':
      return std::to_string(status);
    case 't':
      return time_text(begun, argument);
    case 'T':
      return time_text(std::time(nullptr), argument);
    case 'u': {
      const std::string &user = request_details().user;
      return or_dash(user.empty() ? params.get("REMOTE_USER") : user);
    }
    default:
      return argument;
  }
}

void AccessLog::write(const Params &params, unsigned status, std::time_t begun,
                      const fastcgi::Figures &figures) const {
  if (!is_kept() || is_suppressed(params, status)) return;
  std::string line;
  for (const Item &item : items_) {
    std::string text = text_of(item, params, status, begun, figures);
    // A visitor's bytes do not begin a line of their own.
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    line += text;
  }
  line.resize(std::min<std::size_t>(line.size(), PIPE_BUF - 1));
  line += '\n';
  [[maybe_unused]] const ssize_t written = ::write(pipe_.get(), line.data(), line.size());
}

}  // namespace paddock::php_worker
