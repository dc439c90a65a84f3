#include <catch2/catch.hpp>

#include "policies/config_test.h"

using namespace paddock;
using namespace paddock::policies;
using namespace std::chrono_literals;

TEST_CASE("whom to tell of events arrives whole") {
  const auto loaded = parse(
      "[notify]\nevents = [\"crash\", \"login-failed\"]\ncommand = [\"/bin/true\", \"it\"]\n"
      "webhook = \"https://example.org/hook\"\nmail = \"root@example.org\"\nmail_server = "
      "\"smtp://[::1]:25\"\n"
      "every = \"10m\"\nmost_per_hour = 7\n");
  REQUIRE(loaded.config.has_value());
  const Notify &notify = loaded.config->notify;
  CHECK(notify.wanted());
  CHECK(notify.events == std::vector<std::string>{"crash", "login-failed"});
  CHECK(notify.command == std::vector<std::string>{"/bin/true", "it"});
  CHECK(notify.webhook == "https://example.org/hook");
  CHECK(notify.mail == "root@example.org");
  CHECK(notify.mail_server == "smtp://[::1]:25");
  CHECK(notify.every == 10min);
  CHECK(notify.most_per_hour == 7);
  CHECK(loaded.config->runtime.notify_uid == 65534);
}

TEST_CASE("nobody is told of anything by default, and of the usual where somebody is") {
  const auto none = parse("");
  REQUIRE(none.config.has_value());
  CHECK_FALSE(none.config->notify.wanted());
  const auto some = parse("[notify]\nmail = \"root\"\n");
  REQUIRE(some.config.has_value());
  CHECK(some.config->notify.events.size() > 3);
}

TEST_CASE("what is wrong about notifications is told with its place") {
  struct Case {
    const char *text;
    const char *key;
    std::size_t line;
    const char *says;
  };
  const std::vector<Case> cases = {
      {"[notify]\nevents = [\"crash\", \"oom-kil\"]\n", "notify.events", 2, "there is no kind"},
      {"[notify]\ncommand = [\"mail\"]\n", "notify.command", 2, "wrong value"},
      {"[notify]\nwebhook = \"ftp://x\"\n", "notify.webhook", 2, "wrong value"},
      {"[notify]\nmail = \"a@b c\"\n", "notify.mail", 2, "wrong value"},
      {"[notify]\nmail = \"-oQ/tmp\"\n", "notify.mail", 2, "wrong value"},
      {"[notify]\nmail = \"a@b\\nBcc: c@d\"\n", "notify.mail", 2, "wrong value"},
      {"[notify]\nmail_server = \"mail\"\n", "notify.mail_server", 2, "wrong value"},
      {"[notify]\nmost_per_hour = 0\n", "notify.most_per_hour", 2, ""},
      {"[runtime]\nnotify_user = \"ghost\"\n[notify]\nmail = \"root\"\n", "runtime.notify_user", 2,
       "does not exist"},
  };
  for (const Case &each : cases) {
    INFO(each.text);
    const auto loaded = parse(each.text);
    CHECK_FALSE(loaded.config.has_value());
    bool told = false;
    for (const auto &found : loaded.diagnostics) {
      told = told || (found.severity == Severity::kError && found.where.line == each.line &&
                      found.key == each.key && found.message.find(each.says) != std::string::npos);
      UNSCOPED_INFO(found.to_string());
    }
    CHECK(told);
  }
}
