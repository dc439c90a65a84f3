// PHP-FPM's configuration as PHP's ini parser reads it.
#include "cli/fpm_config.h"

#include <catch2/catch.hpp>

using namespace paddock;
using namespace paddock::cli;

namespace {

FpmConfig parse(std::string_view text) {
  policies::Machine machine;
  machine.expand = [](const std::string &pattern) -> std::vector<std::string> {
    if (pattern == "/pool.d/*.conf") return {"/pool.d/a.conf", "/pool.d/b.conf"};
    if (pattern == "/loop.conf") return {"/loop.conf"};
    return {};
  };
  machine.read = [](const std::string &path, std::size_t) -> Result<std::string> {
    if (path == "/pool.d/a.conf") return std::string("[alice]\nuser = alice\n");
    if (path == "/loop.conf") return std::string("include = /loop.conf\n");
    return errno_error("read " + path, EIO);
  };
  FpmConfig config;
  parse_fpm_config(text, "f", machine, config);
  return config;
}

std::string value(std::string_view written) {
  const auto config = parse("[p]\nx = " + std::string(written) + "\n");
  return config.unread.empty() ? config.pools.at(0).directives.at(0).value
                               : "UNREAD: " + config.unread[0].why;
}

}  // namespace

TEST_CASE("FPM's values") {
  CHECK(value("abc ; comment") == "abc");
  CHECK(value("\"a ; b\" ; comment") == "a ; b");
  CHECK(value(R"("say \"hi\"")") == "say \"hi\"");
  CHECK(value("'a \\ \"b\"'") == "a \\ \"b\"");
  CHECK(value("On") == "1");
  CHECK(value("yes") == "1");
  CHECK(value("off") == "");
  CHECK(value("None") == "");
  CHECK(value("\"off\"") == "off");
  CHECK(value("/run/$pool.sock") == "/run/p.sock");
  CHECK(value("/usr/sbin/sendmail -t -i -f www@my.domain.com") ==
        "/usr/sbin/sendmail -t -i -f www@my.domain.com");
  for (const char *unknown :
       {"E_ALL & ~E_NOTICE", "E_ALL", "${HOME}", "\"${HOME}\"", "\"open", "'open", "\"a\" b"}) {
    INFO(unknown);
    CHECK(value(unknown).starts_with("UNREAD"));
  }
}

TEST_CASE("FPM's sections and lines") {
  const auto config = parse(
      "; comment\n\npid = /run/x\n[www] ; why\nphp_value[ memory_limit ]=64M\n[GLOBAL]\nlog_level = "
      "notice\n[www]\n"
      "pm=static\nnonsense\n[broken\n");
  REQUIRE(config.global.size() == 2);
  CHECK(config.global[1].name == "log_level");
  REQUIRE(config.pools.size() == 1);
  REQUIRE(config.pools[0].directives.size() == 2);
  CHECK(config.pools[0].directives[0].title() == "php_value[memory_limit]");
  CHECK(config.pools[0].directives[0].where.line == 5);
  REQUIRE(config.unread.size() == 2);
  CHECK(config.unread[0].where.line == 10);
  CHECK(config.unread[0].pool == "www");
}

TEST_CASE("FPM's includes are followed, and end") {
  const auto config =
      parse("include=/pool.d/*.conf\ninclude=relative\ninclude=/none\ninclude=/loop.conf\nlog_level=x\n");
  REQUIRE(config.pools.size() == 1);
  CHECK(config.pools[0].where.file == "/pool.d/a.conf");
  REQUIRE(config.global.size() == 1);  // what follows an include belongs to the section that it stands in
  CHECK(config.unread.size() == 4);
}

TEST_CASE("a directory without pools is an error") {
  CHECK_FALSE(read_fpm_config("/proc/sys", policies::this_machine()).ok());
  CHECK_FALSE(read_fpm_config("/nonexistent", policies::this_machine()).ok());
}
