// What a web server never sends. After each of these the same single worker serves the next request.
#include <catch2/catch.hpp>

#include "php_worker/tests/served_pool.h"

using namespace paddock;
using namespace paddock::php_worker::testing;

namespace {

class OneWorker {
 public:
  OneWorker() : pool_({"--workers", "1"}) {
    hello_.script = pool_.script("hello.php", "echo 'hello';");
    before_ = pool_.workers();
  }
  // Sends the bytes, stops sending, and returns what comes back.
  std::string exchange(const std::string &bytes) {
    const auto fd = connect_to(pool_.socket());
    send_all(fd, bytes);
    ::shutdown(fd.get(), SHUT_WR);
    return receive_all(fd);
  }
  void serves_on() {
    CHECK(fetch(pool_.socket(), hello_).body == "hello");
    CHECK(pool_.workers() == before_);
  }
  ServedPool pool_;
  Request hello_;

 private:
  std::vector<int> before_;
};

std::string raw(std::initializer_list<int> bytes) {
  std::string out;
  for (const int byte : bytes) out += static_cast<char>(byte);
  return out;
}

}  // namespace

TEST_CASE("what is no FastCGI is logged and closed") {
  OneWorker worker;
  CHECK(worker.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(20000, 'x')).empty());
  CHECK(worker.pool_.log_says("bad request: a record of another version than 1"));
  worker.serves_on();
}

TEST_CASE("the client vanishes after any byte of a request") {
  OneWorker worker;
  Request request;
  request.method = "POST";
  request.script = worker.pool_.script(
      "post.php", "echo $_POST['a'] ?? 'none'; file_put_contents(__DIR__ . '/ran', $_POST['a']);");
  request.body = "a=0123456789";
  request.params = {{"CONTENT_TYPE", "application/x-www-form-urlencoded"}};
  const std::string wire = request.wire();
  // The last 8 bytes are the empty STDIN record, which a whole body does not need to be told.
  for (std::size_t size = 0; size < wire.size() - 8; ++size) {
    const auto fd = connect_to(worker.pool_.socket());
    REQUIRE(send_all(fd, wire.substr(0, size)));
  }
  worker.serves_on();
  CHECK(worker.pool_.log_says("the client went in the middle of the params"));
  CHECK(worker.pool_.log_says("the client went in the middle of the body"));
  // Half a form never reached the script; a whole one, but for the end of the stream, may have.
  const std::string ran = contents(worker.pool_.path() + "/ran");
  CHECK((ran.empty() || ran == "0123456789"));
}

TEST_CASE("the client vanishes in the middle of the answer") {
  OneWorker worker;
  Request request;
  request.script = worker.pool_.script("big.php",
                                       "for ($i = 0; $i < 1000; $i++) echo str_repeat('x', 100000); "
                                       "file_put_contents(__DIR__ . '/end', 'reached');");
  {
    const auto fd = connect_to(worker.pool_.socket());
    REQUIRE(send_all(fd, request.wire()));
    char bytes[1000];
    REQUIRE(::recv(fd.get(), bytes, sizeof bytes, 0) > 0);
  }
  worker.serves_on();
  CHECK(contents(worker.pool_.path() + "/end").empty());
  SECTION("ignore_user_abort lets the script go on") {
    request.script = worker.pool_.script(
        "on.php",
        "ignore_user_abort(true); for ($i = 0; $i < 1000; $i++) echo str_repeat('x', 100000);"
        "file_put_contents(__DIR__ . '/end', connection_aborted() ? 'aborted' : 'normal');");
    {
      const auto fd = connect_to(worker.pool_.socket());
      REQUIRE(send_all(fd, request.wire()));
      char bytes[1000];
      REQUIRE(::recv(fd.get(), bytes, sizeof bytes, 0) > 0);
    }
    worker.serves_on();
    CHECK(contents(worker.pool_.path() + "/end") == "aborted");
  }
}

TEST_CASE("FCGI_ABORT_REQUEST ends a script that flushes") {
  OneWorker worker;
  Request request;
  request.script = worker.pool_.script(
      "a.php",
      "echo 'x'; flush(); touch(__DIR__ . '/begun'); while (true) { usleep(1000); echo 'x'; flush(); }");
  const auto fd = connect_to(worker.pool_.socket());
  REQUIRE(send_all(fd, request.head()));
  REQUIRE(eventually([&] { return std::filesystem::exists(worker.pool_.path() + "/begun"); }));
  std::string abort;
  fastcgi::append_record(abort, fastcgi::Type::kAbortRequest, 1, {});
  REQUIRE(send_all(fd, abort));
  CHECK(parse_response(receive_all(fd)).protocol_status == 0);
  worker.serves_on();
}

TEST_CASE("unknown types, management and other roles are answered as the specification says") {
  OneWorker worker;
  std::string wire;
  fastcgi::append_record(wire, static_cast<fastcgi::Type>(77), 0, "what is this");
  const Response unknown = parse_response(worker.exchange(wire + worker.hello_.wire()));
  CHECK(unknown.other_records == std::vector<std::uint8_t>{11});
  CHECK(unknown.body == "hello");

  std::string pairs;
  fastcgi::append_param(pairs, "FCGI_MPXS_CONNS", "");
  wire.clear();
  fastcgi::append_record(wire, fastcgi::Type::kGetValues, 0, pairs);
  std::string expected;
  pairs.clear();
  fastcgi::append_param(pairs, "FCGI_MPXS_CONNS", "0");
  fastcgi::append_record(expected, fastcgi::Type::kGetValuesResult, 0, pairs);
  CHECK(worker.exchange(wire) == expected);

  wire.clear();
  fastcgi::append_begin_request(wire, 1, fastcgi::Role::kFilter, 0);
  CHECK(parse_response(worker.exchange(wire)).protocol_status == 3);
  worker.serves_on();
}

TEST_CASE("lengths that lie and params over the limits") {
  OneWorker worker;
  std::string begin;
  fastcgi::append_begin_request(begin, 1, fastcgi::Role::kResponder, 0);
  std::string wire = begin;
  fastcgi::append_record(wire, fastcgi::Type::kParams, 1, raw({255, 255, 255, 255, 255, 255, 255, 255, 'A'}));
  fastcgi::append_record(wire, fastcgi::Type::kParams, 1, {});
  CHECK(worker.exchange(wire).empty());
  CHECK(worker.pool_.log_says("a param's length goes past the end of the params"));

  wire = begin;
  fastcgi::append_record(wire, fastcgi::Type::kParams, 1, std::string(3 << 20, '\0'));
  CHECK(worker.exchange(wire).empty());
  CHECK(worker.pool_.log_says("params are longer than the limit"));

  Request form = worker.hello_;
  form.method = "POST";
  form.body = "a=b";
  form.params = {{"CONTENT_TYPE", "application/x-www-form-urlencoded"}, {"CONTENT_LENGTH", "100"}};
  CHECK(fetch(worker.pool_.socket(), form).status == "400");
  CHECK(worker.pool_.log_says("the body is shorter than CONTENT_LENGTH"));
  form.params[1].second = "-1";
  CHECK(fetch(worker.pool_.socket(), form).status == "400");
  form.params[1].second = "1";
  CHECK(fetch(worker.pool_.socket(), form).body == "hello");
  worker.serves_on();
}

TEST_CASE("a NUL in a param is refused") {
  OneWorker worker;
  Request request = worker.hello_;
  request.params = {{"HTTP_X", std::string("a\0b", 3)}};
  CHECK(fetch(worker.pool_.socket(), request).status == "400");
  worker.serves_on();
}

TEST_CASE("a kept connection does not keep the worker") {
  OneWorker worker;
  Request request = worker.hello_;
  request.flags = fastcgi::kKeepConnection;
  const auto kept = connect_to(worker.pool_.socket());
  REQUIRE(send_all(kept, request.wire()));
  CHECK(parse_response(receive_all(kept)).body == "hello");
  worker.serves_on();
}

TEST_CASE("the empty STDIN record may come after the answer") {
  OneWorker worker;
  // As mod_proxy_fcgi writes it; a peer that closed early would make this write fail.
  for (int i = 0; i < 50; ++i) {
    const auto fd = connect_to(worker.pool_.socket());
    REQUIRE(send_all(fd, worker.hello_.head()));
    std::string seen;
    char bytes[4096];
    while (seen.find("hello") == std::string::npos) {
      const ssize_t got = ::recv(fd.get(), bytes, sizeof bytes, 0);
      REQUIRE(got > 0);
      seen.append(bytes, static_cast<std::size_t>(got));
    }
    std::string end;
    fastcgi::append_record(end, fastcgi::Type::kStdin, 1, {});
    REQUIRE(send_all(fd, end));
    CHECK(parse_response(seen + receive_all(fd)).protocol_status == 0);
  }
  worker.serves_on();
}
