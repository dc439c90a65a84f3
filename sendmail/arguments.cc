#include "sendmail/arguments.h"

#include <string_view>

namespace paddock::sendmail {
namespace {

// Without a value, and of no meaning to us: not to expand aliases, verbose, "me too", from a gateway, ...
constexpr std::string_view kIgnored = "mnvUGi";
// With a value in the same argument or the next: full name, notifications, envelope id, encoding, ...
constexpr std::string_view kWithValue = "frFNVRBhO";
// With a value in the same argument only.
constexpr std::string_view kAttached = "oed";

}  // namespace

Result<Arguments> parse_arguments(const std::vector<std::string> &arguments) {
  Arguments parsed;
  bool options = true;
  for (std::size_t at = 0; at < arguments.size(); ++at) {
    const std::string &argument = arguments[at];
    if (!options || argument.size() < 2 || argument[0] != '-') {
      parsed.recipients.push_back(argument);
      continue;
    }
    if (argument == "--") {
      options = false;
      continue;
    }
    const char option = argument[1];
    const std::string rest = argument.substr(2);
    if (kWithValue.find(option) != std::string_view::npos) {
      if (rest.empty() && at + 1 == arguments.size()) return Error{argument + " needs a value"};
      const std::string &value = rest.empty() ? arguments[++at] : rest;
      if (option == 'f' || option == 'r') parsed.sender = value;
    } else if (argument == "-bm") {
      continue;  // what we do
    } else if (kAttached.find(option) != std::string_view::npos) {
      if (rest == "i") parsed.ignore_dots = option == 'o' || parsed.ignore_dots;
    } else {
      // "-ti": several in one
      for (const char each : argument.substr(1)) {
        if (each == 't') {
          parsed.from_headers = true;
        } else if (kIgnored.find(each) == std::string_view::npos) {
          return Error{"option " + argument + " is not supported here"};
        }
        if (each == 'i') parsed.ignore_dots = true;
      }
    }
  }
  // MTAs take "<a@b>", and "<>" for no sender, who here is the account.
  if (auto &sender = parsed.sender; sender.size() >= 2 && sender.front() == '<' && sender.back() == '>')
    sender = sender.substr(1, sender.size() - 2);
  return parsed;
}

}  // namespace paddock::sendmail
