#include "cli/fpm_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <optional>

namespace paddock::cli {
namespace {

constexpr std::size_t kLargestFile = 16 << 20;
constexpr int kDeepestInclude = 4;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// What follows a quoted value may only be a comment.
bool is_end(std::string_view rest) {
  rest = trimmed(rest);
  return rest.empty() || rest.front() == ';';
}

struct Scanned {
  std::optional<std::string> value;
  std::string why;  // where there is none
};

Scanned scan_quoted(std::string_view text) {
  std::string value;
  std::size_t at = 1;
  for (; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\' && at + 1 < text.size() && std::string_view("\"\\'").find(text[at + 1]) < 3) ++at;
    value += text[at];
  }
  if (at >= text.size()) return {{}, "the quotes are not closed on this line"};
  if (!is_end(text.substr(at + 1))) return {{}, "PHP joins what follows the quotes; write one string"};
  if (value.find("${") != std::string::npos)
    return {{}, "${...} stands for something of PHP-FPM's own environment"};
  return {value, {}};
}

Scanned scan_value(std::string_view text) {
  text = trimmed(text);
  if (!text.empty() && text.front() == '"') return scan_quoted(text);
  if (!text.empty() && text.front() == '\'') {
    const std::size_t end = text.find('\'', 1);
    if (end == std::string_view::npos) return {{}, "the quotes are not closed on this line"};
    if (!is_end(text.substr(end + 1))) return {{}, "PHP joins what follows the quotes; write one string"};
    return {std::string(text.substr(1, end - 1)), {}};
  }
  text = trimmed(text.substr(0, text.find(';')));
  for (const auto *word : {"true", "on", "yes"})
    if (same_word(text, word)) return {"1", {}};
  for (const auto *word : {"false", "off", "no", "none", "null"})
    if (same_word(text, word)) return {"", {}};
  if (text.find("${") != std::string_view::npos)
    return {{}, "${...} stands for something of PHP-FPM's own environment"};
  if (text.find_first_of("|&^~!()\"") != std::string_view::npos || text.substr(0, 2) == "E_")
    return {{}, "PHP computes this value; write down what comes out of it"};
  return {std::string(text), {}};
}

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  });
}

void replace_all(std::string &text, std::string_view what, std::string_view by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

class Parser {
 public:
  Parser(const policies::Machine &machine, FpmConfig &config) : machine_(machine), config_(config) {}

  void parse(std::string_view text, const std::string &file, int depth) {
    where_ = {file, 0, 1};
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      ++where_.line;
      read_line(trimmed(text.substr(0, end)), depth);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
  }

 private:
  void read_line(std::string_view line, int depth) {
    if (line.empty() || line.front() == ';') return;
    if (line.front() == '[') {
      const std::size_t end = line.find(']');
      if (end == std::string_view::npos || !is_end(line.substr(end + 1)))
        return unread(line, "not a section");
      return enter(trimmed(line.substr(1, end - 1)));
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return unread(line, "not a directive");
    FpmDirective directive;
    directive.where = where_;
    std::string_view name = trimmed(line.substr(0, equals));
    if (const std::size_t bracket = name.find('['); bracket != std::string_view::npos && name.back() == ']') {
      directive.key = trimmed(name.substr(bracket + 1, name.size() - bracket - 2));
      name = trimmed(name.substr(0, bracket));
    }
    if (!is_name(name)) return unread(line, "not a directive");
    directive.name = name;
    auto scanned = scan_value(line.substr(equals + 1));
    if (!scanned.value) return unread(line, scanned.why);
    directive.value = std::move(*scanned.value);
    if (pool_ != kGlobal) {
      auto &pool = config_.pools[pool_];
      replace_all(directive.value, "$pool", pool.name);
    }
    if (directive.name == "include") return include(directive, line, depth);
    (pool_ == kGlobal ? config_.global : config_.pools[pool_].directives).push_back(std::move(directive));
  }

  void enter(std::string_view name) {
    pool_ = kGlobal;
    if (same_word(name, "global")) return;
    const auto known = std::find_if(config_.pools.begin(), config_.pools.end(),
                                    [&](const FpmPool &pool) { return pool.name == name; });
    pool_ = static_cast<std::size_t>(known - config_.pools.begin());
    if (known == config_.pools.end()) config_.pools.push_back({std::string(name), where_, {}});
  }

  void include(const FpmDirective &directive, std::string_view line, int depth) {
    if (depth >= kDeepestInclude) return unread(line, "included too deep");
    if (!directive.value.starts_with('/'))
      return unread(line, "relative to PHP-FPM's prefix; name the file or directory itself");
    const auto files = machine_.expand(directive.value);
    if (files.empty()) return unread(line, "names no file");
    const policies::Location here = where_;
    const std::size_t pool = pool_;
    for (const auto &file : files) {
      const auto text = machine_.read(file, kLargestFile);
      if (text) {
        pool_ = kGlobal;
        parse(*text, file, depth + 1);
      } else {
        unread(line, text.error().message());
      }
      where_ = here;
    }
    pool_ = pool;
  }

  void unread(std::string_view line, std::string why) {
    config_.unread.push_back(
        {where_, pool_ == kGlobal ? "global" : config_.pools[pool_].name, std::string(line), std::move(why)});
  }

  static constexpr std::size_t kGlobal = static_cast<std::size_t>(-1);
  const policies::Machine &machine_;
  FpmConfig &config_;
  policies::Location where_;
  std::size_t pool_ = kGlobal;
};

}  // namespace

std::string FpmDirective::title() const {
  return key.empty() ? name : name + "[" + key + "]";
}

void parse_fpm_config(std::string_view text, const std::string &file, const policies::Machine &machine,
                      FpmConfig &config) {
  Parser(machine, config).parse(text, file, 0);
}

Result<FpmConfig> read_fpm_config(const std::string &path, const policies::Machine &machine) {
  std::vector<std::string> files{path};
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    std::string pattern;  // the directory is meant as it is, whatever characters of glob(7) it holds
    for (const char c : path) {
      if (std::string_view("*?[\\").find(c) != std::string_view::npos) pattern += '\\';
      pattern += c;
    }
    files = machine.expand(pattern + "/*.conf");
    if (files.empty()) return Error{"there is no *.conf in " + path};
  }
  FpmConfig config;
  for (const auto &file : files) {
    PADDOCK_TRY(const std::string text, machine.read(file, kLargestFile));
    parse_fpm_config(text, file, machine, config);
  }
  return config;
}

}  // namespace paddock::cli
