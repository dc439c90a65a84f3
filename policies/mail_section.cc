#include "policies/mail_section.h"

#include "base/log.h"

namespace paddock::policies {
namespace {

void read_account(Section &section, const Machine &machine, Config &config) {
  Mail &mail = config.mail;
  const auto account = machine.account(mail.user);
  const std::string who = "user " + log::quoted(mail.user);
  if (!account) {
    section.fail("user", who + ": " + account.error().message());
  } else if (!account->has_value()) {
    section.fail("user", who + " does not exist", "an account");
  } else if ((*account)->uid == 0) {
    section.fail("user", "is uid 0", "an account without rights of its own");
  } else if ((*account)->uid == config.runtime.gateway_uid || (*account)->uid == config.apache_uid ||
             (*account)->uid == config.dashboard.uid) {
    section.fail("user", who + " is the web server's, the gateway's or the dashboard's user",
                 "an account of its own");
  } else {
    mail.uid = (*account)->uid;
    mail.gid = (*account)->gid;
  }
}

}  // namespace

void read_mail(Section &section, const Machine &machine, Config &config) {
  Mail &mail = config.mail;
  if (const auto command = section.texts("command")) {
    for (const auto &[word, where] : *command) mail.command.push_back(word);
    if (!command->empty() && !is_plain_absolute_path(mail.command.front())) {
      section.fail_at(command->front().second, "command", "not an absolute path",
                      "the host's sendmail, as in [\"/usr/sbin/sendmail\", \"-i\"]",
                      "string " + log::quoted(mail.command.front(), 64));
    } else if (!command->empty() && !machine.exists(mail.command.front())) {
      section.fail_at(command->front().second, "command", "there is no " + log::quoted(mail.command.front()),
                      "the host's sendmail");
    }
  }
  if (const auto user = section.text("user")) mail.user = *user;
  section.finish();
  if (!mail.command.empty()) read_account(section, machine, config);
}

}  // namespace paddock::policies
