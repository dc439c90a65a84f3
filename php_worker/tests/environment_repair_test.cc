#include "php_worker/environment_repair.h"

#include <catch2/catch.hpp>

#include "php_worker/tests/served_pool.h"
#include "protocols/fastcgi/params.h"

using namespace paddock::php_worker;
using paddock::zygote_link::Repair;

namespace {

Params repaired(const testing::ParamList &pairs, std::uint32_t repairs = Repair::kEveryRepair) {
  std::string wire;
  for (const auto &[name, value] : pairs) paddock::fastcgi::append_param(wire, name, value);
  Params params;
  REQUIRE(params.decode({reinterpret_cast<const std::uint8_t *>(wire.data()), wire.size()}));
  repair_environment(params, repairs);
  return params;
}

}  // namespace

TEST_CASE("what Apache renamed in a redirect is there under its own name again") {
  const Params params = repaired({{"REDIRECT_APP", "once"},
                                  {"REDIRECT_REDIRECT_OLD", "twice"},
                                  {"REDIRECT_REDIRECT_APP", "older"},
                                  {"REDIRECT_SET", "before"},
                                  {"SET", "now"},
                                  {"REDIRECT_HTTPS", "on"},
                                  {"REDIRECT_REMOTE_USER", "alice"}});
  CHECK(params.get("APP") == "once");
  CHECK(params.get("OLD") == "twice");
  CHECK(params.get("SET") == "now");
  CHECK(params.get("HTTPS") == "on");
  CHECK(params.get("REMOTE_USER") == "alice");
  CHECK(params.get("REDIRECT_APP") == "once");
}

TEST_CASE("what belongs to the request before the redirect stays there") {
  const Params params = repaired({{"REDIRECT_STATUS", "404"},
                                  {"REDIRECT_URL", "/gone"},
                                  {"REDIRECT_CONTENT_LENGTH", "5000"},
                                  {"REDIRECT_HTTP_COOKIE", "a=b"},
                                  {"REDIRECT_HTTP_PROXY", "http://evil"},
                                  {"REDIRECT_PHP_ADMIN_VALUE", "memory_limit=1G"},
                                  {"REDIRECT_", "x"}});
  for (const char *name :
       {"STATUS", "URL", "CONTENT_LENGTH", "HTTP_COOKIE", "HTTP_PROXY", "PHP_ADMIN_VALUE", ""})
    CHECK(params.find(name) == nullptr);
}

TEST_CASE("the Authorization header that a rewrite rule saved") {
  CHECK(repaired({{"REDIRECT_HTTP_AUTHORIZATION", "Basic YTpi"}}).get("HTTP_AUTHORIZATION") == "Basic YTpi");
  CHECK(repaired({{"REDIRECT_REDIRECT_HTTP_AUTHORIZATION", "Basic YTpi"}, {"HTTP_AUTHORIZATION", ""}})
            .get("HTTP_AUTHORIZATION") == "Basic YTpi");
  CHECK(repaired({{"REDIRECT_HTTP_AUTHORIZATION", "old"}, {"HTTP_AUTHORIZATION", "new"}})
            .get("HTTP_AUTHORIZATION") == "new");
}

TEST_CASE("paths") {
  const Params params = repaired({{"SCRIPT_FILENAME", "/srv//www///a.php"},
                                  {"PATH_TRANSLATED", "proxy:fcgi://alice/srv//www/info"},
                                  {"REQUEST_URI", "/a//b"}});
  CHECK(params.get("SCRIPT_FILENAME") == "/srv/www/a.php");
  CHECK(params.get("PATH_TRANSLATED") == "/srv/www/info");
  CHECK(params.get("REQUEST_URI") == "/a//b");
  // locate_script() takes this prefix off; its slashes are none of a path.
  CHECK(repaired({{"SCRIPT_FILENAME", "proxy:fcgi://alice/srv//a.php"}}).get("SCRIPT_FILENAME") ==
        "/srv/a.php");
}

TEST_CASE("each repair can be switched off") {
  const testing::ParamList pairs = {{"REDIRECT_APP", "1"},
                                    {"REDIRECT_HTTP_AUTHORIZATION", "Basic YTpi"},
                                    {"SCRIPT_FILENAME", "/srv//a.php"},
                                    {"PATH_TRANSLATED", "proxy:fcgi://alice/a"}};
  const auto without = [&](std::uint32_t repair) { return repaired(pairs, Repair::kEveryRepair & ~repair); };
  CHECK(without(Repair::kRedirect).find("APP") == nullptr);
  CHECK(without(Repair::kRedirect).find("HTTP_AUTHORIZATION") != nullptr);
  CHECK(without(Repair::kAuthorization).find("HTTP_AUTHORIZATION") == nullptr);
  CHECK(without(Repair::kSlashes).get("SCRIPT_FILENAME") == "/srv//a.php");
  CHECK(without(Repair::kProxyPrefix).get("PATH_TRANSLATED") == "proxy:fcgi://alice/a");
}
