// Requests that run too long: asked to stop, cut off, killed; and the slow log.
#include <catch2/catch.hpp>

#include "php_worker/tests/served_pool.h"

using namespace paddock;
using namespace paddock::php_worker::testing;

namespace {

// With machine code for scripts, as a hostile tenant has it.
std::vector<std::string> with_ffi(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"-d", "extension=ffi", "-d", "ffi.enable=1"});
  return arguments;
}

constexpr const char *kFork =
    "$c = FFI::cdef('int fork(void); int pause(void); int prctl(int, long, long, long, long); int "
    "getpid(void); int "
    "kill(int, int);'); ";

}  // namespace

TEST_CASE("a late script is ended as by PHP's own time limit, and its worker goes on") {
  const ServedPool pool({"--workers", "1", "--deadline", "400"});
  const auto before = pool.workers();
  for (const char *late : {"while (true);", "sleep(30);", "while (true) usleep(100000);",
                           "set_time_limit(0); ignore_user_abort(true); for (;;) md5('x');"}) {
    INFO(late);
    const Response response = pool.run(
        std::string("register_shutdown_function(function () { echo 'shut down ', connection_status(); }); ") +
        late);
    CHECK(response.body == "shut down 2");
    CHECK(response.status == "500");
  }
  CHECK(pool.log_says("the plan's deadline has passed after 0."));
  CHECK(pool.log_says("is late: asked to stop"));
  CHECK(pool.run("echo 'on';").body == "on");
  CHECK(pool.workers() == before);
  CHECK(pool.log().find("killed") == std::string::npos);
}

TEST_CASE("a script within its deadline is left alone, also beside a late one") {
  const ServedPool pool({"--workers", "2", "--deadline", "600"});
  std::string ended;
  std::thread late([&] { ended = pool.run("while (true);").status; });
  for (int i = 0; i < 6; ++i)
    CHECK(pool.get(pool.script("quick.php", "usleep(200000); echo 'whole';")).body == "whole");
  late.join();
  CHECK(ended == "500");
}

TEST_CASE("a script that does not heed the deadline loses its connection, then its worker") {
  const ServedPool pool({"--workers", "1", "--deadline", "300"});
  const auto before = pool.workers();
  const std::string script =
      pool.script("stubborn.php", "register_shutdown_function(function () { while (true); }); while (true);");
  CHECK(pool.get(script).body.empty());
  CHECK(pool.log_says("its connection is ended"));
  CHECK(pool.log_says("its worker is killed"));
  CHECK(eventually([&] { return pool.workers().size() == 1 && pool.workers() != before; }));
  CHECK(pool.run("echo 'on';").body == "on");
  CHECK(pool.log().find("died") == std::string::npos);
}

TEST_CASE("a child that tenant code forked does not keep the connection") {
  const ServedPool pool(with_ffi({"--workers", "1", "--deadline", "300"}));
  SECTION("its worker is late") {
    const Response response = pool.run(std::string(kFork) +
                                       "if ($c->fork() == 0) { file_put_contents(__DIR__ . "
                                       "'/child', $c->getpid()); while (true) $c->pause(); } "
                                       "register_shutdown_function(function () { while (true); "
                                       "}); while (true);");
    CHECK(response.body.empty());
    CHECK(pool.log_says("its connection is ended"));
  }
  SECTION("its worker is gone") {
    const Response response = pool.run(std::string(kFork) +
                                       "if ($c->fork() == 0) { file_put_contents(__DIR__ . "
                                       "'/child', $c->getpid()); while (true) $c->pause(); } "
                                       "$c->kill($c->getpid(), 9);");
    CHECK(response.body.empty());
  }
  // That the client came back is the proof; here, that it was not the child's end that let it go.
  REQUIRE(eventually([&] { return !contents(pool.path() + "/child").empty(); }));
  const int child = std::stoi(contents(pool.path() + "/child"));
  CHECK(::kill(child, SIGKILL) == 0);
  CHECK(pool.run("echo 'on';").body == "on");
}

TEST_CASE("a slow script's backtrace is logged once, and the script notices nothing") {
  const ServedPool pool({"--workers", "1", "--slow-log", "200"});
  const std::string script =
      pool.script("shop.php",
                  "class Shop { function find($end) {\nwhile (microtime(true) < $end) md5('x');\n} }\n"
                  "(function () { (new Shop)->find(microtime(true) + 1); })(); echo 'found';");
  CHECK(pool.get(script, {{"REQUEST_URI", "/shop"}}).body == "found");
  CHECK(pool.log_says("slow: GET /shop (" + script + ") runs for 0."));
  CHECK(pool.log_says("Shop->find() " + script + ":2"));
  CHECK(pool.log_says("{closure}() " + script + ":4"));
  CHECK(pool.log_says("{main} " + script + ":4"));
  std::size_t times = 0;
  const std::string log = pool.log();
  for (auto at = log.find("runs for"); at != std::string::npos; at = log.find("runs for", at + 1)) ++times;
  CHECK(times == 1);
  // Not woken; told when the sleep is over.
  CHECK(
      pool.run(
              "$start = microtime(true);\nsleep(1);\necho microtime(true) - $start >= 1 ? 'slept' : 'woken';")
          .body == "slept");
  CHECK(pool.run("usleep(10000); echo 'quick';").body == "quick");
}

TEST_CASE("the slow log shows a script that waits for input") {
  const ServedPool pool({"--workers", "1", "--slow-log", "200"});
  const Response response = pool.run(
      "$pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); stream_set_timeout($pair[0], 0, "
      "700000); "
      "$start = microtime(true);\n$got = fread($pair[0], 10);\necho microtime(true) - $start > 0.6 ? "
      "'waited' : 'cut', "
      "stream_get_meta_data($pair[0])['timed_out'] ? ' whole' : ' short';");
  CHECK(response.body == "waited whole");
  CHECK(pool.log_says("runs for"));
}
