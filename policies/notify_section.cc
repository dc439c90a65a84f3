#include "policies/notify_section.h"

#include <algorithm>

#include "base/log.h"
#include "rules/event_names.h"

namespace paddock::policies {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kMostAnHour = 3600;

// What an admin would get up for.
const std::vector<std::string> kUsual = {"crash",      "oom-kill",        "queue-full",  "block",
                                         "rule-fired", "corrupt-history", "login-failed"};

void read_events(Section &section, Notify &notify) {
  const auto texts = section.texts("events");
  if (!texts) {
    if (section.find("events") == nullptr) notify.events = kUsual;
    return;
  }
  const std::vector<std::string> known(rules::kEventNames.begin(), rules::kEventNames.end());
  for (const auto &[name, where] : *texts) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      section.fail_at(where, "events", "there is no kind of event " + log::quoted(name, 64),
                      "a kind as `paddock events` shows it", {}, nearest_of(name, known));
    notify.events.push_back(name);
  }
}

// Goes into a mail's header and to curl: nothing that either takes for anything else.
bool is_address(const std::string &text) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~@-";
  return !text.empty() && text.size() <= 254 && text.front() != '-' && text.front() != '|' &&
         text.find_first_not_of(kAllowed) == std::string::npos &&
         std::count(text.begin(), text.end(), '@') <= 1;
}

}  // namespace

void read_notify(Section &section, const Machine &machine, Notify &notify) {
  read_events(section, notify);
  if (const auto command = section.texts("command"))
    for (const auto &[word, where] : *command) notify.command.push_back(word);
  if (!notify.command.empty() && !notify.command.front().starts_with('/'))
    section.fail("command", "wrong value", "a program by its absolute path, and its arguments");
  else if (!notify.command.empty() && !machine.exists(notify.command.front()))
    section.warn("command", "there is no " + log::quoted(notify.command.front()));
  notify.webhook = section.text("webhook").value_or("");
  if (!notify.webhook.empty()) {
    if (!notify.webhook.starts_with("http://") && !notify.webhook.starts_with("https://"))
      section.fail("webhook", "wrong value", "a URL such as \"https://example.org/hook\"");
    if (!machine.exists(kWebhookProgram))
      section.warn("webhook", std::string("needs ") + kWebhookProgram + ", which is not there");
  }
  notify.mail = section.text("mail").value_or("");
  if (!notify.mail.empty()) {
    if (!is_address(notify.mail))
      section.fail("mail", "wrong value", "one address such as \"root@example.org\"");
    if (!machine.exists(kWebhookProgram))
      section.warn("mail", std::string("needs ") + kWebhookProgram + ", which is not there");
  }
  if (const auto server = section.text("mail_server")) {
    notify.mail_server = *server;
    if (!server->starts_with("smtp://") && !server->starts_with("smtps://"))
      section.fail("mail_server", "wrong value", "a URL such as \"smtp://mail.example.org\"");
  }
  if (const auto every = section.duration("every", milliseconds(0), std::chrono::days(1)))
    notify.every = std::chrono::duration_cast<std::chrono::seconds>(*every);
  if (const auto most = section.integer("most_per_hour", 1, kMostAnHour))
    notify.most_per_hour = static_cast<std::uint32_t>(*most);
  section.finish();
}

}  // namespace paddock::policies
