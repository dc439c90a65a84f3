#include "cli/apache_checks.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/log.h"

namespace paddock::cli {
namespace {

using control::FindingSeverity;

constexpr std::size_t kLargestFile = 16 << 20;
constexpr std::uint64_t kApachesTimeout = 60;  // core's Timeout, where nothing sets it

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

// A number, with a unit of time or without.
std::optional<std::uint64_t> seconds_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end == text.data()) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.empty() || unit == "s") return number;
  if (unit == "ms") return number / 1000;
  if (unit == "mi" || unit == "min") return number * 60;
  if (unit == "h") return number * 3600;
  return std::nullopt;
}

// "unix:SOCKET|fcgi://NAME" somewhere in a line.
bool read_worker(const std::string &line, ApacheWorker &worker) {
  const std::size_t start = line.find("unix:");
  const std::size_t bar = start == std::string::npos ? start : line.find("|fcgi://", start);
  if (bar == std::string::npos) return false;
  worker.socket = line.substr(start + 5, bar - start - 5);
  const std::size_t name = bar + std::string_view("|fcgi://").size();
  worker.name = lower(line.substr(name, line.find_first_of("\"'/> \t", name) - name));
  return true;
}

std::vector<std::string> words_of(const std::string &line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

void add(Findings &findings, FindingSeverity severity, std::string message, std::string mend) {
  findings.push_back({severity, "apache", std::move(message), std::move(mend)});
}

// Apache makes one worker of a name; the second socket is never connected to.
void check_names(const ApacheLines &lines, Findings &findings) {
  std::map<std::string, const ApacheWorker *> first;
  std::set<std::pair<std::string, std::string>> told;
  for (const auto &worker : lines.workers) {
    const auto [known, fresh] = first.emplace(worker.name, &worker);
    if (fresh || known->second->socket == worker.socket) continue;
    if (!told.emplace(worker.name, worker.socket).second) continue;
    add(findings, FindingSeverity::kError,
        worker.where.to_string() + ": fcgi://" + log::quoted(worker.name) + " stands for another socket at " +
            known->second->where.to_string() + ": one site's PHP may run as the other's user",
        "give each socket a name of its own, as `paddock vhost TENANT` does");
  }
}

std::uint64_t longest_request(const policies::Plan &plan) {
  return static_cast<std::uint64_t>((plan.deadline + plan.queue_time).count() + 999) / 1000;
}

// All tenants at once: where they may hold as many threads as Apache has, nothing is left for files.
void check_threads(const ApacheLines &lines, const policies::Config &config, Findings &findings) {
  if (!lines.threads) return;
  std::uint64_t most = 0;
  for (const auto &[name, tenant] : config.tenants) {
    const policies::Plan &plan = config.plan_of(*tenant);
    most += std::uint64_t{plan.workers} + plan.queue;
  }
  if (config.apache_requests != 0) most = std::min<std::uint64_t>(most, config.apache_requests);
  if (most < *lines.threads) return;
  add(findings, FindingSeverity::kWarning,
      "all tenants together may hold " + std::to_string(most) + " of Apache's " +
          std::to_string(*lines.threads) + " threads (MaxRequestWorkers): none would be left for files",
      "set [apache] requests below it, or PaddockLimit with mod_paddock");
}

}  // namespace

void read_apache_lines(const std::string &text, const std::string &file, ApacheLines &lines) {
  std::istringstream stream(text);
  policies::Location where{file, 0, 1};
  std::optional<std::size_t> inside;  // the worker whose <Proxy> this is
  bool in_host = false;
  for (std::string line; std::getline(stream, line);) {
    ++where.line;
    const auto words = words_of(line);
    if (words.empty() || words[0].starts_with('#')) continue;
    const std::string directive = lower(words[0]);
    if (directive == "<virtualhost") in_host = true;
    if (directive == "</virtualhost>") in_host = false;
    if (directive == "</proxy>") inside.reset();
    if (ApacheWorker worker; read_worker(line, worker)) {
      worker.where = where;
      worker.is_handler = directive != "<proxy" && directive != "proxyset";
      if (directive == "<proxy") inside = lines.workers.size();
      lines.workers.push_back(std::move(worker));
    }
    if (directive == "proxyset" && (inside || !lines.workers.empty()))
      for (const auto &word : words)
        if (lower(word).starts_with("timeout="))
          lines.workers[inside.value_or(lines.workers.size() - 1)].timeout = seconds_of(word.substr(8));
    if (!in_host && words.size() > 1) {
      if (directive == "proxytimeout") lines.proxy_timeout = seconds_of(words[1]);
      if (directive == "timeout") lines.timeout = seconds_of(words[1]);
      if (directive == "maxrequestworkers") lines.threads = seconds_of(words[1]);
    }
  }
}

void check_apache_lines(const ApacheLines &lines, const policies::Config &config,
                        const std::optional<policies::SocketKey> &key, Findings &findings) {
  check_names(lines, findings);
  if (!lines.workers.empty()) check_threads(lines, config, findings);
  for (const auto &file : lines.readable)
    add(findings, FindingSeverity::kWarning, log::quoted(file) + " shows everybody a tenant's socket",
        "chmod 640 " + file);

  std::map<std::string, const policies::Tenant *> by_socket;
  if (key)
    for (const auto &[name, tenant] : config.tenants)
      by_socket.emplace(policies::socket_path(config.runtime, *key, name), tenant.get());
  std::map<std::string, std::uint64_t> timeouts;  // by the worker's name
  for (const auto &worker : lines.workers)
    if (worker.timeout) timeouts[worker.name] = *worker.timeout;
  const std::uint64_t otherwise = lines.proxy_timeout.value_or(lines.timeout.value_or(kApachesTimeout));
  std::set<std::string> told;
  for (const auto &worker : lines.workers) {
    if (!worker.is_handler || !worker.socket.starts_with(config.runtime.run_dir + "/sockets/")) continue;
    if (!key) continue;
    const auto found = by_socket.find(worker.socket);
    if (found == by_socket.end()) {
      add(findings, FindingSeverity::kError,
          worker.where.to_string() + ": no tenant has this socket: its visitors get status 503",
          "print the lines again with `paddock vhost`, or take them out");
      continue;
    }
    const policies::Plan &plan = config.plan_of(*found->second);
    const auto set = timeouts.find(worker.name);
    const std::uint64_t timeout = set == timeouts.end() ? otherwise : set->second;
    if (plan.deadline.count() != 0 && timeout > longest_request(plan)) continue;
    if (plan.deadline.count() == 0 && timeout >= 3600) continue;
    if (!told.insert(found->second->name).second) continue;
    add(findings, FindingSeverity::kWarning,
        worker.where.to_string() + ": Apache gives up after " + std::to_string(timeout) + " s, while " +
            found->second->name + "'s plan allows a request " +
            (plan.deadline.count() == 0 ? "any time" : std::to_string(longest_request(plan)) + " s") +
            ", waiting included",
        "take the <Proxy> lines of `paddock vhost " + found->second->name + "`, or set ProxyTimeout");
  }
}

void check_apache_sites(const std::string &root, const policies::Config &config, Findings &findings) {
  ApacheLines lines;
  std::vector<std::string> files{root + "/etc/apache2/apache2.conf"};
  for (const char *directory : {"conf-enabled", "mods-enabled", "sites-enabled"}) {
    std::error_code code;
    std::vector<std::string> found;
    for (const auto &entry : std::filesystem::directory_iterator(root + "/etc/apache2/" + directory, code))
      if (entry.path().extension() == ".conf") found.push_back(entry.path().string());
    std::sort(found.begin(), found.end());  // as Apache reads them
    files.insert(files.end(), found.begin(), found.end());
  }
  for (const auto &file : files) {
    const auto text = read_file(file, kLargestFile);
    if (!text) continue;
    const std::size_t before = lines.workers.size();
    read_apache_lines(*text, file, lines);
    struct stat status {};
    const bool ours = std::any_of(
        lines.workers.begin() + static_cast<std::ptrdiff_t>(before), lines.workers.end(),
        [&](const auto &worker) { return worker.socket.starts_with(config.runtime.run_dir + "/sockets/"); });
    if (ours && ::stat(file.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0)
      lines.readable.push_back(file);
  }
  const auto key = policies::load_socket_key(config.runtime.state_dir);
  check_apache_lines(lines, config, key ? std::optional(*key) : std::nullopt, findings);
}

}  // namespace paddock::cli
