// The tables of htaccess/cases, through the whole of the library.
#include <catch2/catch.hpp>

#include "htaccess/case_table.h"
#include "htaccess/htaccess_cache.h"
#include "htaccess/temporary_tree.h"

using namespace paddock;
using namespace paddock::htaccess;

namespace {

// The script's path below the document root, and the PATH_INFO after it.
std::pair<std::string, std::string> script_and_path_info(const std::string &url) {
  const std::string path = url.substr(0, url.find('?'));
  const std::size_t end = path.find(".php") + 4;
  return {path.substr(0, end), path.substr(end)};
}

std::map<std::string, std::string> parameters_of(const Case &current) {
  const auto [script, path_info] = script_and_path_info(current.url);
  const std::size_t question = current.url.find('?');
  std::map<std::string, std::string> parameters = {
      {"REQUEST_METHOD", current.method},
      {"REQUEST_URI", current.url},
      {"SCRIPT_NAME", script},
      {"PATH_INFO", path_info},
      {"QUERY_STRING", question == std::string::npos ? "" : current.url.substr(question + 1)},
      {"SERVER_PROTOCOL", "HTTP/1.1"},
      {"SERVER_NAME", "localhost"},
      {"SERVER_PORT", "8080"},
      {"REMOTE_ADDR", "127.0.0.1"}};
  for (const auto &[name, value] : current.headers) {
    std::string key = "HTTP_";
    for (const char c : name)
      key += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    parameters[key] = value;
  }
  return parameters;
}

// What is wrong with the outcome; empty: nothing.
std::string compare(const Case &current, const std::string &root, const Result<Settings> &outcome) {
  if (current.error) {
    if (outcome) return "no error";
    const std::string &message = outcome.error().attempt;
    const std::string place = "/.htaccess:" + std::to_string(current.error->line) + ": ";
    const bool right = message.starts_with(root) && message.find(place) != std::string::npos &&
                       message.find(current.error->message) != std::string::npos && outcome.error().code == 0;
    return right ? "" : "error is: " + outcome.error().message();
  }
  if (!outcome) return outcome.error().message();
  std::string wrong;
  for (const auto &[name, value] : current.give) {
    const Setting *setting = outcome->values.find(name);
    if (setting == nullptr || setting->value != value)
      wrong += name + " is " + (setting == nullptr ? "not set" : "\"" + setting->value + "\"") + ", not \"" +
               value + "\"\n";
  }
  for (const std::string &name : current.keep)
    if (outcome->values.find(name) != nullptr) wrong += name + " is set\n";
  if (outcome->diagnostics.size() != current.diagnostics.size())
    wrong += std::to_string(outcome->diagnostics.size()) + " diagnostics\n";
  for (std::size_t i = 0; i < outcome->diagnostics.size(); ++i) {
    const std::string text = outcome->diagnostics[i].to_string();
    if (i >= current.diagnostics.size() || text.find(current.diagnostics[i]) == std::string::npos)
      wrong += text + "\n";
  }
  return wrong;
}

}  // namespace

TEST_CASE("The tables hold enough") {
  CHECK(read_cases(PADDOCK_HTACCESS_CASES).size() >= 120);
}

TEST_CASE("Every case of the tables") {
  for (const Case &current : read_cases(PADDOCK_HTACCESS_CASES)) {
    const TemporaryTree tree;
    for (const auto &[path, text] : current.files) tree.write(path, text);
    const auto script = script_and_path_info(current.url).first;
    tree.write(script.substr(1), "<?php\n");
    const auto parameters = parameters_of(current);
    const Request request{[&](std::string_view name) -> std::optional<std::string_view> {
      const auto found = parameters.find(std::string(name));
      return found == parameters.end() ? std::nullopt : std::optional<std::string_view>(found->second);
    }};
    HtaccessCache cache;
    INFO(current.where << ": " << current.name);
    const auto outcome = cache.settings(tree.path(), tree.path() + script, request);
    CHECK(compare(current, tree.path(), outcome) == "");
    // From what was kept: the same, with nothing said twice.
    auto again = cache.settings(tree.path(), tree.path() + script, request);
    if (again && outcome) {
      CHECK(again->values.items() == outcome->values.items());
      CHECK(again->diagnostics.empty());
    } else {
      CHECK(again.ok() == outcome.ok());
    }
  }
}
