#include "dashboard/http.h"

#include <catch2/catch.hpp>

#include "dashboard/page_json.h"

using namespace paddock::dashboard;

TEST_CASE("A target is split into path and query") {
  HttpRequest request;
  REQUIRE(split_target("/api/events?tenant=a%2Fb&limit=5&x=1+2", request));
  CHECK(request.path == "/api/events");
  CHECK(request.query == std::map<std::string, std::string>{{"tenant", "a/b"}, {"limit", "5"}, {"x", "1 2"}});
}

TEST_CASE("A malformed target is an error") {
  for (const char *target : {"", "x", "http://elsewhere/", "/a%2", "/a%zz", "/a%00", "/?a=1&a=2", "/?a=%"}) {
    INFO(target);
    HttpRequest request;
    CHECK_FALSE(split_target(target, request).ok());
  }
}

TEST_CASE("Cookies are read") {
  CHECK(parse_cookies("a=1; paddock_session=abc;b") ==
        std::map<std::string, std::string>{{"a", "1"}, {"paddock_session", "abc"}});
  CHECK(parse_cookies("").empty());
}

TEST_CASE("A body is a flat object of strings and integers") {
  const auto good = flat_object(R"({"reason":"too much","until":1900000000})");
  REQUIRE(good);
  CHECK(good->at("reason") == "too much");
  CHECK(good->at("until") == "1900000000");
  for (const char *body :
       {"", "[]", "1", "{", R"({"a":{}})", R"({"a":[1]})", R"({"a":1.5})", R"({"a":null})"}) {
    INFO(body);
    CHECK_FALSE(flat_object(body).ok());
  }
  CHECK_FALSE(flat_object(std::string(10'000, '[')).ok());
}

TEST_CASE("What a tenant chose cannot end the JSON that holds it") {
  LiveData data;
  paddock::control::Status status;
  status.tenants.emplace_back();
  status.tenants[0].name = "alice";
  status.tenants[0].problem = "</script>\"\n\x1b[2J\xff";
  data.take(std::move(status));
  Session session;
  session.admin = true;
  const std::string json = overview_json(data, session);
  CHECK(json.find('\n') == std::string::npos);
  CHECK(json.find('\x1b') == std::string::npos);
  session.admin = false;
  session.tenant = "bob";
  CHECK(overview_json(data, session).find("alice") == std::string::npos);
}
