#include <unistd.h>

// What a script sees and a web server gets: paddock-php serve over real sockets.
#include <catch2/catch.hpp>

#include "php_worker/tests/served_pool.h"

using namespace paddock::php_worker::testing;

TEST_CASE("hello, its headers, and the end of the request") {
  const ServedPool pool;
  const Response response = pool.run("echo 'hello';");
  CHECK(response.status == "200");
  CHECK(response.body == "hello");
  CHECK(response.header("Content-type") == "text/html; charset=UTF-8");
  CHECK(response.protocol_status == 0);
  CHECK(response.errors.empty());
}

TEST_CASE("status, headers and cookies") {
  const ServedPool pool;
  const Response found = pool.run(
      "http_response_code(404); header('X-A: 1'); header('X-B: 2'); header('X-B: 3', false);"
      "setcookie('c', 'v'); header('Content-Type: text/plain'); echo $_COOKIE['in'];",
      {{"HTTP_COOKIE", "in=out"}});
  CHECK(found.header("Status") == "404 Not Found");
  CHECK(found.header("X-A") == "1");
  CHECK(found.headers.count("X-B") == 2);
  CHECK(found.header("Set-Cookie") == "c=v");
  CHECK(found.header("Content-type") == "text/plain;charset=UTF-8");
  CHECK(found.body == "out");
  CHECK(pool.run("header('HTTP/1.1 418 Short and Stout');").header("Status") == "418 Short and Stout");
  CHECK(pool.run("header('Location: /x');").status == "302");
  CHECK(pool.run("header('Status: 503 Later');").header("Status") == "503 Later");
}

TEST_CASE("$_SERVER and its kin tell the request") {
  const ServedPool pool;
  const Response response = pool.run(
      "echo json_encode([PHP_SAPI, $_SERVER['PHP_SELF'], $_SERVER['HTTP_X_Y'], getenv('HTTP_X_Y'),"
      "$_GET['q'], getallheaders()['X-Y'], apache_request_headers()['Content-Type'],"
      "isset($_SERVER['HTTP_PROXY']), getenv('HTTP_PROXY'), getcwd() === __DIR__, $_SERVER['PHP_AUTH_USER'],"
      "extension_loaded('cgi-fcgi')]);",
      {{"SCRIPT_NAME", "/a.php"},
       {"PATH_INFO", "/in"},
       {"HTTP_X_Y", "z"},
       {"QUERY_STRING", "q=1"},
       {"CONTENT_TYPE", "a/b"},
       {"HTTP_PROXY", "evil"},
       {"HTTP_AUTHORIZATION", "Basic dXNlcjpwdw=="}});
  CHECK(response.body == R"(["fpm-fcgi","\/a.php\/in","z","z","1","z","a\/b",false,false,true,"user",true])");
}

TEST_CASE("$_ENV and getenv() have the request's variables, before the process's") {
  const ServedPool pool;
  const Response response = pool.run(
      "echo json_encode([$_ENV['PATH'], $_ENV['REQUEST_METHOD'], getenv()['PATH'], "
      "getenv()['REQUEST_METHOD'],"
      "filter_input(INPUT_ENV, 'PATH'), filter_input(INPUT_SERVER, 'REQUEST_METHOD'), "
      "isset($_SERVER['PATH'])]);",
      {{"PATH", "/"}, {"PHP_VALUE", "variables_order=EGPCS"}});
  CHECK(response.body == R"(["\/","GET","\/","GET","\/","GET",true])");
}

TEST_CASE("bodies: forms, raw, without a length, in small pieces, beyond memory") {
  const ServedPool pool;
  Request post;
  post.method = "POST";
  SECTION("a form") {
    post.script = pool.script("a.php", "echo $_POST['a'], '|', file_get_contents('php://input');");
    post.body = "a=b%20c";
    post.params = {{"CONTENT_TYPE", "application/x-www-form-urlencoded"}};
    CHECK(fetch(pool.socket(), post).body == "b c|a=b%20c");
  }
  SECTION("chunked: no CONTENT_LENGTH") {
    post.script = pool.script("a.php", "echo $_POST['a'];");
    post.body = "a=chunked";
    post.content_length = false;
    post.params = {{"CONTENT_TYPE", "application/x-www-form-urlencoded"}};
    CHECK(fetch(pool.socket(), post).body == "chunked");
    post.method = "PUT";
    post.script = pool.script("b.php", "echo file_get_contents('php://input');");
    CHECK(fetch(pool.socket(), post).body == "a=chunked");
  }
  SECTION("64 MiB by PUT, read in pieces, in 8 MiB of memory") {
    post.method = "PUT";
    post.script = pool.script(
        "a.php",
        "ini_set('memory_limit', '8M'); $h = hash_init('md5'); $n = 0; $f = fopen('php://input', 'r');"
        "while (($s = fread($f, 65536)) !== '' && $s !== false) { hash_update($h, $s); $n += strlen($s); }"
        "echo $n, ' ', hash_final($h);");
    post.body.assign(64U << 20, 'x');
    CHECK(fetch(pool.socket(), post).body == "67108864 de506679685541efcb501eac224adc64");
  }
  SECTION("an upload") {
    post.script = pool.script(
        "a.php",
        "echo $_FILES['f']['name'], ' ', $_FILES['f']['size'], ' ',"
        "md5_file($_FILES['f']['tmp_name']) === md5(str_repeat('u', 1000000)) ? 'same' : 'other';");
    post.params = {{"CONTENT_TYPE", "multipart/form-data; boundary=XX"}};
    post.body = "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n.txt\"\r\n\r\n" +
                std::string(1000000, 'u') + "\r\n--XX--\r\n";
    CHECK(fetch(pool.socket(), post).body == "n.txt 1000000 same");
  }
  SECTION("a body that no script reads") {
    post.script = pool.script("a.php", "echo 'done';");
    post.body.assign(3U << 20, 'y');
    CHECK(fetch(pool.socket(), post).body == "done");
  }
  SECTION("byte by byte") {
    post.script = pool.script("a.php", "echo $_POST['a'];");
    post.body = "a=slow";
    post.params = {{"CONTENT_TYPE", "application/x-www-form-urlencoded"}};
    const auto fd = connect_to(pool.socket());
    for (const char c : post.wire()) REQUIRE(send_all(fd, {&c, 1}));
    CHECK(parse_response(receive_all(fd)).body == "slow");
  }
}

TEST_CASE("big answers arrive whole, in order") {
  const ServedPool pool;
  const Response response = pool.run(
      "for ($i = 0; $i < 2000; $i++) echo str_repeat(chr(65 + $i % 26), $i * 7 % 5000); echo str_repeat('z', "
      "5000000);");
  std::string expected;
  for (std::size_t i = 0; i < 2000; ++i) expected.append(i * 7 % 5000, static_cast<char>('A' + i % 26));
  expected.append(5000000, 'z');
  CHECK(response.body.size() == expected.size());
  CHECK((response.body == expected));
  CHECK(response.protocol_status == 0);
}

TEST_CASE("flush() sends at once") {
  const ServedPool pool;
  Request request;
  request.script = pool.script("a.php",
                               "echo 'first'; flush(); while (!file_exists(__DIR__ . '/go')) { usleep(1000);"
                               "clearstatcache(); } echo 'second';");
  const auto fd = connect_to(pool.socket());
  REQUIRE(send_all(fd, request.wire()));
  std::string seen;
  char bytes[4096];
  while (seen.find("first") == std::string::npos) {
    const ssize_t got = ::recv(fd.get(), bytes, sizeof bytes, 0);
    REQUIRE(got > 0);
    seen.append(bytes, static_cast<std::size_t>(got));
  }
  pool.directory().write("go", "");
  CHECK(parse_response(seen + receive_all(fd)).body == "firstsecond");
}

TEST_CASE("fastcgi_finish_request ends the answer, not the script") {
  const ServedPool pool;
  const Response response = pool.run(
      "echo 'answer'; fastcgi_finish_request(); echo 'unheard'; usleep(200000);"
      "file_put_contents(__DIR__ . '/later', connection_aborted() ? 'aborted' : 'normal');");
  CHECK(response.body == "answer");
  CHECK(response.protocol_status == 0);
  CHECK(eventually([&] { return contents(pool.path() + "/later") == "normal"; }));
}

TEST_CASE("ini entries of one request do not reach the next") {
  const ServedPool pool(
      {"--workers", "1", "--php-admin-value", "memory_limit=77M", "--php-value", "precision=5"});
  const std::string show = pool.script(
      "a.php",
      "echo ini_get('precision'), ' ', ini_get('memory_limit'), ' ',"
      "ini_get('auto_prepend_file'), ' ', ini_get('open_basedir'), '|', ini_get('post_max_size');");
  CHECK(pool.get(show).body == "5 77M  |8M");
  CHECK(pool.get(show, {{"PHP_VALUE", "precision=7\nmemory_limit=200M\nopen_basedir=/\npost_max_size=9M"},
                        {"PHP_ADMIN_VALUE", "open_basedir=/tmp"}})
            .body == "7 77M  /|9M");
  CHECK(pool.log_says("memory_limit"));
  CHECK(pool.get(show).body == "5 77M  |8M");
  CHECK(pool.run("var_dump(ini_set('memory_limit', '500M')); echo ini_get('memory_limit');").body ==
        "bool(false)\n77M");
  CHECK(pool.run("ini_set('precision', 9); echo ini_get('precision');").body == "9");
  CHECK(pool.get(show).body == "5 77M  |8M");
}

TEST_CASE("what the web server may set is the plan's to say") {
  SECTION("nothing") {
    const ServedPool pool({"--ini-from-web", "none"});
    CHECK(pool.run("echo ini_get('precision');", {{"PHP_VALUE", "precision=7"}}).body == "14");
  }
  SECTION("admin, but not over the plan's own") {
    const ServedPool pool(
        {"--workers", "1", "--ini-from-web", "admin", "--php-admin-value", "memory_limit=77M"});
    const std::string code =
        "ini_set('precision', 3); echo ini_get('precision'), ' ', ini_get('memory_limit'), ' ', "
        "ini_get('open_basedir');";
    CHECK(pool.run(code, {{"PHP_ADMIN_VALUE", "precision=7\nmemory_limit=1M\nopen_basedir=/tmp"}}).body ==
          "7 77M /tmp");
    CHECK(pool.run(code).body == "3 77M ");
  }
}

TEST_CASE("sessions") {
  const ServedPool pool;
  const std::string script = pool.script(
      "a.php",
      "session_save_path(__DIR__); session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;");
  CHECK(pool.get(script, {{"HTTP_COOKIE", "PHPSESSID=abcdefabcdefabcdefabcdefab"}}).body == "1");
  CHECK(pool.get(script, {{"HTTP_COOKIE", "PHPSESSID=abcdefabcdefabcdefabcdefab"}}).body == "2");
}

TEST_CASE("errors go to the tenant's log, line by line, and to nobody else") {
  const ServedPool pool;
  const Response response =
      pool.run("error_log(\"one\\x1b[31m\\ntwo\"); fwrite(STDERR ?? fopen('php://stderr', 'w'), 'x');");
  CHECK(response.status == "500");  // STDERR is only the command line's
  CHECK(response.errors.empty());
  CHECK(pool.log_says("one\\x1b[31m\n"));
  CHECK(pool.log_says("PHP Fatal error"));
  const Response loud = pool.run(
      "file_put_contents('php://stderr', \"raw line\\n\"); file_put_contents('php://stdout', \"out "
      "line\\n\"); echo 'ok';");
  CHECK(loud.body == "ok");
  CHECK(pool.log_says(": raw line\n"));
  CHECK(pool.log_says(": out line\n"));
}

TEST_CASE("a flood of lines is bounded") {
  const ServedPool pool({"--workers", "1"});
  CHECK(pool.run("for ($i = 0; $i < 20000; $i++) error_log('flood'); error_log(str_repeat('L', 100000)); "
                 "echo 'ok';")
            .body == "ok");
  CHECK(pool.log_says("lines suppressed"));
  CHECK(pool.log().size() < 1000000);
}

TEST_CASE("scripts that are not there, or not to be run") {
  const ServedPool pool;
  const Response missing = pool.get(pool.path() + "/no.php");
  CHECK(missing.status == "404");
  CHECK(missing.body == "File not found.\n");
  CHECK(pool.log_says("Primary script unknown"));
  CHECK(pool.get(pool.path()).body == "Access denied.\n");
  CHECK(pool.get(pool.directory().write("a.jpg", "<?php echo 1;")).status == "403");
  CHECK(pool.get(pool.directory().write("b.jpg", "<?php echo 1;") + "/x.php").status == "403");
}

TEST_CASE("opcache is on, hit, and sees a changed file") {
  const ServedPool pool({"--workers", "1"});
  const std::string script =
      pool.script("a.php", "$s = opcache_get_status(); echo $s['scripts'][__FILE__]['hits'] ?? 'none';");
  CHECK(pool.get(script).body == "0");
  CHECK(pool.get(script).body == "1");
  // opcache compares times of a second's resolution.
  pool.script("a.php", "echo 'changed';");
  std::filesystem::last_write_time(script,
                                   std::filesystem::last_write_time(script) + std::chrono::seconds(2));
  CHECK(pool.get(script).body == "changed");
}

TEST_CASE("fpm_get_status tells about the pool") {
  const ServedPool pool({"--workers", "3", "--name", "alice"});
  const std::string code =
      "$s = fpm_get_status(); echo $s['pool'], ' ', $s['total-processes'], ' ',"
      "$s['active-processes'], ' ', count($s['procs']), ' ';"
      "foreach ($s['procs'] as $p) if ($p['state'] === 'Running') echo $p['request-method'], "
      "$p['request-uri'], ' ', $p['query-string'];";
  // The third worker may still be on its way when the first serves already.
  const std::string expected = "alice 3 1 3 GET/u q";
  std::string body;
  for (int attempt = 0; attempt < 100 && body != expected; ++attempt) {
    if (attempt > 0) ::usleep(50'000);
    body = pool.run(code, {{"REQUEST_URI", "/u?q"}}).body;
  }
  CHECK(body == expected);
}

namespace {

// Up to and including END_REQUEST, as a web server reads that keeps its connections.
std::string receive_one(paddock::BorrowedFd fd) {
  std::string all;
  char bytes[4096];
  while (!parse_response(all).protocol_status) {
    const ssize_t got = ::recv(fd.get(), bytes, sizeof bytes, 0);
    if (got <= 0) break;
    all.append(bytes, static_cast<std::size_t>(got));
  }
  return all;
}

Request kept_request(const ServedPool &pool) {
  Request request;
  request.script = pool.script("pid.php", "echo getmypid();");
  request.flags = paddock::fastcgi::kKeepConnection;
  return request;
}

}  // namespace

TEST_CASE("a kept connection serves one request after the other while another worker is free") {
  const ServedPool pool({"--workers", "2"});
  const Request request = kept_request(pool);
  // It waits for the next one only for a moment: a machine under load may be too late, but not each time.
  int in_a_row = 0;
  for (int tries = 0; tries < 200 && in_a_row < 10; ++tries) {
    const auto fd = connect_to(pool.socket());
    std::string first;
    for (in_a_row = 0; in_a_row < 10; ++in_a_row) {
      if (!send_all(fd, request.wire())) break;
      const Response response = parse_response(receive_one(fd));
      if (!response.protocol_status && in_a_row > 0) break;
      REQUIRE(response.protocol_status == 0);
      if (in_a_row == 0) first = response.body;
      CHECK(response.body == first);
    }
  }
  CHECK(in_a_row == 10);
}

TEST_CASE("kept connections pin no worker") {
  const ServedPool pool({"--workers", "2"});
  const Request request = kept_request(pool);
  std::vector<paddock::UniqueFd> idle;
  for (int i = 0; i < 12; ++i) {
    idle.push_back(connect_to(pool.socket()));
    REQUIRE(send_all(idle.back(), request.wire()));
    REQUIRE(parse_response(receive_one(idle.back())).protocol_status == 0);
  }
  CHECK(pool.run("echo 'here';").body == "here");
  // Each has been ended.
  for (const auto &fd : idle) CHECK(receive_all(fd).empty());
}

TEST_CASE("a lone worker closes what it was asked to keep") {
  const ServedPool pool({"--workers", "1"});
  const auto fd = connect_to(pool.socket());
  REQUIRE(send_all(fd, kept_request(pool).wire()));
  const std::string all = receive_all(fd);
  CHECK(parse_response(all).protocol_status == 0);
}
