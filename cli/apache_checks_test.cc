// Findings about Apache's lines.
#include "cli/apache_checks.h"

#include <catch2/catch.hpp>

using namespace paddock;
using namespace paddock::cli;

namespace {

const policies::SocketKey kKey{1, 2, 3};

policies::Config config() {
  policies::Config config;
  config.plans["default"].deadline = std::chrono::seconds(50);
  config.plans["default"].queue_time = std::chrono::seconds(10);
  config.plans["endless"].deadline = std::chrono::seconds(0);
  for (const char *name : {"alice", "bob"}) {
    policies::Tenant tenant;
    tenant.name = name;
    tenant.plan = "default";
    config.tenants[name] = std::make_shared<const policies::Tenant>(std::move(tenant));
  }
  return config;
}

std::string socket_of(const char *name) {
  return policies::socket_path(config().runtime, kKey, name);
}

std::string handler(const std::string &socket, const std::string &name) {
  return "<FilesMatch \"\\.php$\">\n  SetHandler \"proxy:unix:" + socket + "|fcgi://" + name +
         "\"\n</FilesMatch>\n";
}

std::string proxy(const std::string &socket, const std::string &name, int timeout) {
  return "<Proxy \"unix:" + socket + "|fcgi://" + name +
         "\">\n  ProxySet flushpackets=on timeout=" + std::to_string(timeout) + "\n</Proxy>\n";
}

std::string found(const std::string &text, policies::Config with = config()) {
  ApacheLines lines;
  read_apache_lines(text, "f", lines);
  Findings findings;
  check_apache_lines(lines, with, kKey, findings);
  std::string all;
  for (const auto &finding : findings) {
    CHECK_FALSE(finding.mend.empty());
    all += finding.message + "\n";
  }
  return all;
}

}  // namespace

TEST_CASE("what paddock vhost prints is fine") {
  const auto lines = handler(socket_of("alice"), "alice") + proxy(socket_of("alice"), "alice", 70) +
                     handler(socket_of("bob"), "bob") + proxy(socket_of("bob"), "bob", 70);
  CHECK(found(lines).empty());
}

TEST_CASE("one fcgi:// name for two sockets is an error") {
  const auto lines =
      "ProxyTimeout 90\n" + handler(socket_of("alice"), "php") + handler(socket_of("bob"), "PHP");
  const auto all = found(lines);
  CHECK(all.find("f:6:1: fcgi://\"php\" stands for another socket at f:3:1") != std::string::npos);
  CHECK(found("ProxyTimeout 90\n" + handler(socket_of("alice"), "a") + handler(socket_of("alice"), "a"))
            .empty());
}

TEST_CASE("a socket that no tenant has is an error") {
  CHECK(found(handler("/run/paddock/sockets/gone-0123.sock", "gone")).find("no tenant has this socket") !=
        std::string::npos);
  CHECK(found(handler("/run/php/php8.2-fpm.sock", "fpm")).empty());
  CHECK(found("# " + handler("/run/paddock/sockets/gone-0123.sock", "gone").substr(24)).empty());
}

TEST_CASE("Apache must not give up before Paddock does") {
  const auto lines = handler(socket_of("alice"), "alice");
  CHECK(found(lines).find("gives up after 60 s, while alice's plan allows a request 60 s") !=
        std::string::npos);
  CHECK(found("Timeout 300\n" + lines).empty());
  CHECK(found("ProxyTimeout 2min\n" + lines).empty());
  CHECK_FALSE(found("Timeout 300\nProxyTimeout 30\n" + lines).empty());
  CHECK_FALSE(found("Timeout 300\n" + lines + proxy(socket_of("alice"), "alice", 20)).empty());
  CHECK_FALSE(found("<VirtualHost *>\nTimeout 300\n</VirtualHost>\n" + lines).empty());
  auto endless = config();
  policies::Tenant alice = *endless.tenants["alice"];
  alice.plan = "endless";
  endless.tenants["alice"] = std::make_shared<const policies::Tenant>(std::move(alice));
  CHECK(found("Timeout 300\n" + lines, endless).find("any time") != std::string::npos);
}

TEST_CASE("all tenants together leave Apache some threads") {
  const auto sites = handler(socket_of("alice"), "alice") + proxy(socket_of("alice"), "alice", 70);
  auto with = config();  // two tenants
  with.plans["default"].workers = 4;
  with.plans["default"].queue = 16;
  CHECK(found(sites + "MaxRequestWorkers 41\n", with).empty());
  CHECK(found(sites + "  MaxRequestWorkers\t40\n", with).find("may hold 40 of Apache's 40 threads") !=
        std::string::npos);
  with.apache_requests = 30;
  CHECK(found(sites + "MaxRequestWorkers 40\n", with).empty());
  CHECK_FALSE(found(sites + "MaxRequestWorkers 30\n", with).empty());
  CHECK(found("MaxRequestWorkers 1\n", with).empty());  // with mod_paddock, whose cap is Apache's to check
}
