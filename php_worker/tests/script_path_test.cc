#include "php_worker/script_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "php_worker/tests/served_pool.h"
#include "protocols/fastcgi/params.h"

using namespace paddock::php_worker;
using paddock::php_worker::testing::TemporaryDirectory;

namespace {

Params params_of(const testing::ParamList &pairs) {
  std::string wire;
  for (const auto &[name, value] : pairs) paddock::fastcgi::append_param(wire, name, value);
  Params params;
  REQUIRE(params.decode({reinterpret_cast<const std::uint8_t *>(wire.data()), wire.size()}));
  return params;
}

}  // namespace

TEST_CASE("params: found, replaced, removed, NUL-terminated") {
  Params params = params_of({{"A", "1"}, {"LONG", std::string(70000, 'x')}, {"", "nameless"}, {"B", ""}});
  CHECK(std::string(params.find("A")) == "1");
  CHECK(params.get("LONG").size() == 70000);
  CHECK(*params.find("B") == '\0');
  CHECK(params.find("C") == nullptr);
  CHECK(params.entries().size() == 3);
  params.set("A", "2");
  params.set("C", "3");
  CHECK(params.get("A") == "2");
  CHECK(params.get("C") == "3");
  params.remove("A");
  CHECK(params.find("A") == nullptr);
}

TEST_CASE("params: a Proxy header never becomes HTTP_PROXY") {
  const Params params = params_of({{"HTTP_PROXY", "http://evil"}, {"HTTP_PROXY_AUTH", "x"}});
  CHECK(params.find("HTTP_PROXY") == nullptr);
  CHECK(params.get("HTTP_PROXY_AUTH") == "x");
}

TEST_CASE("params: NUL bytes are refused") {
  const auto name = GENERATE(std::string("A\0B", 3), std::string("A"));
  const auto value = name.size() == 3 ? std::string("x") : std::string("/a.php\0.jpg", 11);
  std::string wire;
  paddock::fastcgi::append_param(wire, name, value);
  Params params;
  CHECK_FALSE(params.decode({reinterpret_cast<const std::uint8_t *>(wire.data()), wire.size()}));
  CHECK(params.problem() == "a param holds a NUL byte");
}

TEST_CASE("what mod_proxy_fcgi puts before a path comes off") {
  CHECK(strip_proxy_prefix("/srv/a.php") == "/srv/a.php");
  CHECK(strip_proxy_prefix("proxy:fcgi://alice/srv/a.php") == "/srv/a.php");
  CHECK(strip_proxy_prefix("proxy:fcgi://127.0.0.1:9000/srv/a.php") == "/srv/a.php");
  CHECK(strip_proxy_prefix("proxy:unix:/run/x/s|fcgi://alice/srv/a.php") == "/srv/a.php");
  CHECK(strip_proxy_prefix("PROXY:Balancer://b/srv/a.php") == "/srv/a.php");
  CHECK(strip_proxy_prefix("proxy:fcgi://alice/srv/a.php?left=over") == "/srv/a.php");
  CHECK(strip_proxy_prefix("/srv/a?b.php") == "/srv/a?b.php");
  CHECK(strip_proxy_prefix("proxy:nonsense") == "proxy:nonsense");
}

TEST_CASE("scripts are found and PATH_INFO is split off") {
  const TemporaryDirectory directory;
  const std::string root = directory.path();
  const std::string script = directory.write("in.fo/a.php", "x");

  SECTION("a file as it is") {
    Params params = params_of({{"SCRIPT_FILENAME", script}, {"PATH_INFO", "/kept"}});
    const Script found = locate_script(params, ScriptRule::kSplit);
    CHECK(found.outcome == Script::Outcome::kFound);
    CHECK(found.path == script);
    CHECK(found.status.st_size == 1);
    CHECK(params.get("PATH_INFO") == "/kept");
    CHECK(params.find("ORIG_SCRIPT_FILENAME") == nullptr);
  }
  SECTION("behind Apache's prefix, with a path behind the file") {
    Params params = params_of({{"SCRIPT_FILENAME", "proxy:fcgi://alice" + script + "/x/y"},
                               {"SCRIPT_NAME", "/in.fo/a.php/x/y"},
                               {"DOCUMENT_ROOT", root}});
    const Script found = locate_script(params, ScriptRule::kSplit);
    CHECK(found.outcome == Script::Outcome::kFound);
    CHECK(params.get("SCRIPT_FILENAME") == script);
    CHECK(params.get("PATH_INFO") == "/x/y");
    CHECK(params.get("SCRIPT_NAME") == "/in.fo/a.php");
    CHECK(params.get("ORIG_SCRIPT_NAME") == "/in.fo/a.php/x/y");
    CHECK(params.get("PATH_TRANSLATED") == root + "/x/y");
  }
  SECTION("behind ProxyPass, with an encoded path behind the file") {
    const auto [encoded, decoded] = GENERATE(table<std::string, std::string>(
        {{"/1%202", "/1 2"}, {"/1%20+2", "/1 +2"}, {"/%c3%A4%zz%4", "/\xc3\xa4%zz%4"}}));
    Params params = params_of({{"SCRIPT_FILENAME", "proxy:fcgi://alice" + script + encoded},
                               {"SCRIPT_NAME", "/in.fo/a.php" + decoded}});
    CHECK(locate_script(params, ScriptRule::kSplit).outcome == Script::Outcome::kFound);
    CHECK(params.get("SCRIPT_NAME") == "/in.fo/a.php");
    CHECK(params.get("ORIG_SCRIPT_NAME") == "/in.fo/a.php" + decoded);
    CHECK(params.get("PATH_INFO") == encoded);
  }
  SECTION("a SCRIPT_NAME that ends otherwise stays") {
    Params params = params_of(
        {{"SCRIPT_FILENAME", "proxy:fcgi://alice" + script + "/x"}, {"SCRIPT_NAME", "/in.fo/a.php/y"}});
    CHECK(locate_script(params, ScriptRule::kSplit).outcome == Script::Outcome::kFound);
    CHECK(params.get("SCRIPT_NAME") == "/in.fo/a.php/y");
    CHECK(params.find("ORIG_SCRIPT_NAME") == nullptr);
  }
  SECTION("behind a balancer, which gives no SCRIPT_NAME") {
    Params params =
        params_of({{"SCRIPT_FILENAME", script + "/x"}, {"SCRIPT_NAME", ""}, {"PATH_INFO", "/in.fo/a.php/x"}});
    CHECK(locate_script(params, ScriptRule::kSplit).outcome == Script::Outcome::kFound);
    CHECK(params.get("SCRIPT_NAME") == "/in.fo/a.php");
    CHECK(params.get("PATH_INFO") == "/x");
    CHECK(params.get("ORIG_PATH_INFO") == "/in.fo/a.php/x");
  }
  SECTION("a slash behind the file") {
    Params params = params_of({{"SCRIPT_FILENAME", script + "/"}});
    CHECK(locate_script(params, ScriptRule::kSplit).outcome == Script::Outcome::kFound);
    CHECK(params.get("PATH_INFO") == "/");
  }
  SECTION("a path behind the file longer than paths may be") {
    Params params = params_of({{"SCRIPT_FILENAME", script + "/" + std::string(5000, 'x')}});
    CHECK(locate_script(params, ScriptRule::kSplit).outcome == Script::Outcome::kFound);
    CHECK(params.get("PATH_INFO").size() == 5001);
  }
  SECTION("not when it is switched off") {
    Params params = params_of({{"SCRIPT_FILENAME", script + "/x"}});
    CHECK(locate_script(params, ScriptRule::kAsSent).outcome == Script::Outcome::kMissing);
  }
  SECTION("PATH_TRANSLATED where there is no SCRIPT_FILENAME") {
    Params params = params_of({{"PATH_TRANSLATED", script}, {"SCRIPT_FILENAME", ""}});
    Params other = params;
    CHECK(locate_script(params, ScriptRule::kSplit).outcome == Script::Outcome::kFound);
    CHECK(params.get("SCRIPT_FILENAME") == script);
    CHECK(locate_script(other, ScriptRule::kAsSent).outcome == Script::Outcome::kFound);
    CHECK(other.get("SCRIPT_FILENAME").empty());
  }
  SECTION("PATH_TRANSLATED in its place") {
    const testing::ParamList sent = {{"SCRIPT_FILENAME", script + "/x"}, {"PATH_TRANSLATED", script}};
    Params params = params_of(sent);
    const Script found = locate_script(params, ScriptRule::kTranslated);
    CHECK(found.outcome == Script::Outcome::kFound);
    CHECK(found.path == script);
    CHECK(params.get("SCRIPT_FILENAME") == script + "/x");
    Params as_sent = params_of(sent);
    CHECK(locate_script(as_sent, ScriptRule::kAsSent).outcome == Script::Outcome::kMissing);
    Params without = params_of({{"SCRIPT_FILENAME", script}});
    CHECK(locate_script(without, ScriptRule::kTranslated).outcome == Script::Outcome::kFound);
  }
  SECTION("missing") {
    Params params = params_of({{"SCRIPT_FILENAME", root + "/in.fo/b.php"}});
    CHECK(locate_script(params, ScriptRule::kSplit).outcome == Script::Outcome::kMissing);
    Params deep = params_of({{"SCRIPT_FILENAME", root + "/no/such/b.php/x"}});
    CHECK(locate_script(deep, ScriptRule::kSplit).outcome == Script::Outcome::kMissing);
    Params none = params_of({{"REQUEST_METHOD", "GET"}});
    CHECK(locate_script(none, ScriptRule::kSplit).outcome == Script::Outcome::kMissing);
    Params relative = params_of({{"SCRIPT_FILENAME", "a.php"}});
    CHECK(locate_script(relative, ScriptRule::kSplit).outcome == Script::Outcome::kMissing);
  }
  SECTION("a directory is forbidden, a pipe is no file") {
    Params params = params_of({{"SCRIPT_FILENAME", root}});
    CHECK(locate_script(params, ScriptRule::kSplit).outcome == Script::Outcome::kForbidden);
    REQUIRE(::mkfifo((root + "/p.php").c_str(), 0600) == 0);
    Params fifo = params_of({{"SCRIPT_FILENAME", root + "/p.php"}});
    CHECK(locate_script(fifo, ScriptRule::kSplit).outcome == Script::Outcome::kMissing);
  }
}

TEST_CASE("extensions") {
  CHECK(extension_allowed("/a.php", ".php .phar"));
  CHECK(extension_allowed("/a.phar", ".php  .phar"));
  CHECK_FALSE(extension_allowed("/a.jpg", ".php .phar"));
  CHECK(extension_allowed("/a.jpg", ""));
  CHECK(extension_allowed("/a.jpg", "  "));
}
