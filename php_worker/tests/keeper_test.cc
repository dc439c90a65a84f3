// The keeper's care for its workers.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "php_worker/tests/served_pool.h"

using namespace paddock;
using namespace paddock::php_worker::testing;

TEST_CASE("a worker that dies is replaced, and its death is logged") {
  const ServedPool pool({"--workers", "1"});
  const auto before = pool.workers();
  REQUIRE(before.size() == 1);
  ::kill(before.front(), SIGKILL);
  CHECK(eventually([&] { return pool.workers().size() == 1 && pool.workers() != before; }));
  CHECK(pool.run("echo 'on';").body == "on");
  CHECK(pool.log_says("died: signal 9"));
}

TEST_CASE("workers that die at once never become a fork storm") {
  const ServedPool pool({"--workers", "1"});
  std::vector<int> seen;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < end) {
    for (const int pid : pool.workers()) {
      if (std::find(seen.begin(), seen.end(), pid) == seen.end()) seen.push_back(pid);
      ::kill(pid, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // 0 + 50 + 100 + 200 + 400 + 800 ms…
  CHECK(seen.size() >= 3);
  CHECK(seen.size() <= 8);
}

TEST_CASE("a worker is replaced after its number of requests, and nobody calls that a death") {
  const ServedPool pool({"--workers", "1", "--requests-per-worker", "5"});
  const std::string script = pool.script("a.php", "echo getmypid();");
  std::vector<std::string> pids;
  for (int i = 0; i < 20; ++i) {
    pids.push_back(pool.get(script).body);
    REQUIRE_FALSE(pids.back().empty());
  }
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  CHECK(pids.size() == 4);
  CHECK(pool.log().find("died") == std::string::npos);
}

TEST_CASE(
    "requests one after the other need one worker; requests at once get more, up to the plan's number") {
  const ServedPool pool({"--workers", "3", "--workers-start", "1"});
  const std::string quick = pool.script("q.php", "echo 1;");
  for (int i = 0; i < 100; ++i) REQUIRE(pool.get(quick).body == "1");
  CHECK(pool.workers().size() == 1);

  const std::string slow = pool.script(
      "s.php", "while (!file_exists(__DIR__ . '/go')) { usleep(2000); clearstatcache(); } echo 2;");
  std::vector<std::thread> clients;
  std::atomic<int> good = 0;
  for (int i = 0; i < 6; ++i)
    clients.emplace_back([&] {
      if (pool.get(slow).body == "2") ++good;
    });
  CHECK(eventually([&] { return pool.workers().size() == 3; }));
  pool.directory().write("go", "");
  for (auto &client : clients) client.join();
  CHECK(good == 6);
  CHECK(pool.workers().size() <= 3);
  // And what is too many goes again.
  CHECK(eventually([&] { return pool.workers().size() < 3; }));
}

TEST_CASE("no accepted request is lost when the pool ends") {
  for (int round = 0; round < 5; ++round) {
    ServedPool pool({"--workers", "2"});
    const std::string script = pool.script("a.php", "usleep(1000); echo 'whole';");
    std::atomic<int> broken = 0;
    std::atomic<int> whole = 0;
    std::vector<std::thread> clients;
    for (int i = 0; i < 4; ++i)
      clients.emplace_back([&] {
        Request request;
        request.script = script;
        for (;;) {
          try {
            const auto fd = connect_to(pool.socket());
            if (!send_all(fd, request.wire())) return;
            const std::string answer = receive_all(fd);
            if (parse_response(answer).body == "whole") {
              ++whole;
            } else {
              // Never accepted: the kernel cut the backlog off when the socket was closed. Half an answer is
              // a loss.
              if (!answer.empty()) ++broken;
              return;
            }
          } catch (const std::exception &) {
            return;  // the socket has gone
          }
        }
      });
    CHECK(eventually([&] { return whole > 20; }));
    CHECK(pool.stop().success());
    for (auto &client : clients) client.join();
    CHECK(broken == 0);
  }
}

TEST_CASE("titles tell who does what, without the query and without control characters") {
  const ServedPool pool({"--workers", "1", "--name", "alice"});
  // The pool listens before its first worker is forked.
  REQUIRE(eventually([&] { return !pool.workers().empty(); }));
  const int worker = pool.workers().at(0);
  const auto title = [&](int pid) {
    return std::string(contents("/proc/" + std::to_string(pid) + "/cmdline").c_str());
  };
  CHECK(eventually([&] { return title(pool.pid()) == "paddock: keeper alice"; }));
  CHECK(eventually([&] { return title(worker) == "paddock: alice idle"; }));
  const Response response =
      pool.run("echo file_get_contents('/proc/self/cmdline');", {{"REQUEST_URI", "/a\x1b[2Jb?password=x"}});
  CHECK(std::string(response.body.c_str()) == "paddock: alice GET /a?[2Jb");
  CHECK(pool.run("echo 1;", {{"REQUEST_URI", "/" + std::string(100000, 'u')}}).body == "1");
  CHECK(eventually([&] { return title(worker) == "paddock: alice idle"; }));
}

TEST_CASE("a script cannot reach the log, the link or the keeper's other descriptors") {
  const ServedPool pool({"--workers", "1"});
  const Response response = pool.run(
      "$n = []; foreach (glob('/proc/self/fd/*') as $f) $n[] = (string) @readlink($f); echo implode(\"\\n\", "
      "$n);");
  CHECK_FALSE(response.body.empty());
  CHECK(response.body.find(pool.log_path()) == std::string::npos);
  CHECK(response.body.find("eventpoll") == std::string::npos);
  CHECK(response.body.find("signalfd") == std::string::npos);
  CHECK(response.body.find("pidfd") == std::string::npos);
}

TEST_CASE("max_execution_time ends a script, and the worker goes on") {
  const ServedPool pool({"--workers", "1"});
  const auto before = pool.workers();
  const Response response = pool.run(
      "register_shutdown_function(function () { echo 'shut down'; }); set_time_limit(1); while (true);");
  CHECK(response.body == "shut down");
  CHECK(pool.log_says("Maximum execution time of 1 second exceeded"));
  CHECK(pool.run("echo 'on';").body == "on");
  CHECK(pool.workers() == before);
}
