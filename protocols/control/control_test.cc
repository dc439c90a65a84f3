#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "protocols/control/access.h"
#include "protocols/control/client.h"

using namespace paddock;
using namespace paddock::control;

TEST_CASE("every command survives the way there") {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Command::kVersion); ++i) {
    Request request;
    request.command = static_cast<Command>(i);
    names.insert(name_of(request.command));
    CHECK(command_of(name_of(request.command)) == request.command);
    const bool alone = request.command == Command::kDoctor || request.command == Command::kRules ||
                       request.command == Command::kVersion;
    if (request.command == Command::kLogin) {
      request.token = "secret";
      request.from = "127.0.0.1";
    } else if (!alone) {
      request.tenant = "alice";
    }
    if (request.command == Command::kBlock) {
      request.reason = "spam \"\n\xf0\x9f\x98\x80";
      request.until = 1'900'000'000;
    }
    if (request.command == Command::kThrottle) request.plan = "small";
    const std::string line = to_json(request);
    INFO(line);
    CHECK(line.find('\n') == std::string::npos);
    const auto back = parse_request(line + "\n");
    REQUIRE(back.ok());
    CHECK(back->command == request.command);
    CHECK(back->tenant == request.tenant);
    CHECK(back->reason == request.reason);
    CHECK(back->until == request.until);
    CHECK(back->token == request.token);
    CHECK(back->from == request.from);
  }
  CHECK(names.size() == static_cast<std::size_t>(Command::kVersion) + 1);
  CHECK(parse_request(R"({"v":1,"command":"status"})")->tenant.empty());
}

TEST_CASE("what is asked of the books survives the way there") {
  Request usage{Command::kUsage, "", "", {}};
  usage.since = 1'700'000'000;
  usage.limit = 5;
  for (std::size_t i = 0; i < kFigures.size(); ++i) {
    usage.top = static_cast<Figure>(i);
    const auto back = parse_request(to_json(usage));
    REQUIRE(back.ok());
    CHECK(back->since == usage.since);
    CHECK(back->limit == usage.limit);
    CHECK(back->top == usage.top);
  }
  for (std::size_t i = 0; i < kSteps.size(); ++i) {
    Request one{Command::kUsage, "alice", "", {}};
    one.step = static_cast<Step>(i);
    CHECK(parse_request(to_json(one))->step == one.step);
  }
  Request events{Command::kEvents, "", "", {}};
  events.after = 0;
  events.follow = true;
  const auto back = parse_request(to_json(events));
  REQUIRE(back.ok());
  CHECK(back->after == 0);
  CHECK(back->follow);
  CHECK_FALSE(parse_request(R"({"v":1,"command":"events"})")->follow);
  Request samples{Command::kSamples, "", "", {}};
  samples.period_ms = 1000;
  CHECK(parse_request(to_json(samples))->period_ms == 1000);
}

TEST_CASE("what is no request is refused with a reason") {
  struct Bad {
    std::string line;
    const char *says;
  };
  const Bad bad[] = {
      {"", "not valid JSON"},
      {"status", "not valid JSON"},
      {R"({"v":1,"command":"status"} x)", "not valid JSON"},
      {R"({"v":1,"command":"status",})", "not valid JSON"},
      {"{\"v\":1,\"command\":\"status\",\"tenant\":\"\xff\"}", "not valid JSON"},
      {std::string(5, '[') + std::string(5, ']'), "not valid JSON"},
      {"[]", "a request is a JSON object"},
      {"{}", "v must be 1"},
      {R"({"command":"status"})", "v must be 1"},
      {R"({"v":2,"command":"status"})", "v must be 1"},
      {R"({"v":"1","command":"status"})", "v must be 1"},
      {R"({"v":1.0,"command":"status"})", "v must be 1"},
      {R"({"v":1})", "command must be a string"},
      {R"({"v":1,"command":["status"]})", "command must be a string"},
      {R"({"v":1,"command":"stat\u001bus"})", "unknown command \"stat\\x1bus\""},
      {R"({"v":1,"command":"stop"})", "stop needs a tenant"},
      {R"({"v":1,"command":"stop","tenant":""})", "1 to 63 bytes"},
      {R"({"v":1,"command":"stop","tenant":7})", "1 to 63 bytes"},
      {R"({"v":1,"command":"stop","tenant":")" + std::string(64, 'a') + "\"}", "1 to 63 bytes"},
      {R"({"v":1,"command":"stop","tenant":"a","reason":"x"})", "stop takes no \"reason\""},
      {R"({"v":1,"command":"doctor","tenant":"a"})", "doctor takes no \"tenant\""},
      {R"({"v":1,"command":"status","tennant":"a"})", "status takes no \"tennant\""},
      {R"({"v":1,"command":"block","tenant":"a"})", "block needs a reason"},
      {R"({"v":1,"command":"block","tenant":"a","reason":""})", "1 to 1024 bytes"},
      {R"({"v":1,"command":"block","tenant":"a","reason":")" + std::string(1025, 'a') + "\"}",
       "1 to 1024 bytes"},
      {R"({"v":1,"command":"block","tenant":"a","reason":"x","until":"tomorrow"})",
       "until must be an integer"},
      {R"({"v":1,"command":"block","tenant":"a","reason":"x","until":-1})", "until must be an integer"},
      {R"({"v":1,"command":"block","tenant":"a","reason":"x","until":1e99})", "until must be an integer"},
      {R"({"v":1,"command":"block","tenant":"a","reason":"x","until":18446744073709551615})",
       "until must be an integer"},
      {R"({"v":1,"command":"throttle","tenant":"a"})", "throttle needs a plan"},
      {R"({"v":1,"command":"usage","since":253402300800})", "since must be an integer"},
      {R"({"v":1,"command":"usage","top":"luck"})", "top must be one of cpu, memory"},
      {R"({"v":1,"command":"usage","tenant":"a","top":"cpu"})", "only where no tenant is named"},
      {R"({"v":1,"command":"usage","step":"hour"})", "step only with a tenant"},
      {R"({"v":1,"command":"usage","tenant":"a","step":1})", "step must be one of minute, hour, day"},
      {R"({"v":1,"command":"usage","limit":0})", "limit must be an integer from 1 to 10000"},
      {R"({"v":1,"command":"events","limit":10001})", "limit must be an integer from 1 to 10000"},
      {R"({"v":1,"command":"events","after":-1})", "after must be an integer from 0"},
      {R"({"v":1,"command":"events","follow":1})", "follow must be true or false"},
      {R"({"v":1,"command":"status","follow":true})", "status takes no \"follow\""},
      {R"({"v":1,"command":"samples","period_ms":10})", "period_ms must be an integer from 500"},
      {R"({"v":1,"command":"status","tenant":")" + std::string(kRequestLimit, 'a') + "\"}",
       "longer than 65536"},
  };
  for (const Bad &one : bad) {
    INFO(one.line.substr(0, 200));
    const auto request = parse_request(one.line);
    REQUIRE_FALSE(request.ok());
    INFO(request.error().message());
    CHECK(request.error().message().find(one.says) != std::string::npos);
  }
}

TEST_CASE("a status survives the way back, whatever a tenant put into it") {
  Status status;
  status.host.emplace();
  status.host->missing_controllers = {"memory", "pids"};
  status.host->pid = 4711;
  TenantStatus &tenant = status.tenants.emplace_back();
  tenant.name = "alice";
  tenant.state = TenantState::kBackingOff;
  tenant.requests = 18'446'744'073'709'551'615ULL;
  tenant.memory_bytes = 1ULL << 40;
  tenant.block_until = -1;
  tenant.running.push_back(
      {12, "GET", std::string("/\xff\0\n\"\xc3\xa4\xed\xa0\x80", 10), "/x.php", 1500, 3 << 20});
  const std::string line = ok_reply(status);
  CHECK(line.find('\n') == std::string::npos);
  const auto reply = parse_reply(line);
  REQUIRE(reply.ok());
  REQUIRE_FALSE(reply->failure.has_value());
  const auto back = result_from_json<Status>(reply->result);
  REQUIRE(back.ok());
  REQUIRE(back->host.has_value());
  CHECK(back->host->missing_controllers == status.host->missing_controllers);
  CHECK(back->host->pid == 4711);
  REQUIRE(back->tenants.size() == 1);
  CHECK(back->tenants[0].state == TenantState::kBackingOff);
  CHECK(back->tenants[0].requests == tenant.requests);
  CHECK(back->tenants[0].memory_bytes == tenant.memory_bytes);
  CHECK(back->tenants[0].block_until == tenant.block_until);
  CHECK_FALSE(back->tenants[0].pids.has_value());
  REQUIRE(back->tenants[0].running.size() == 1);
  // A byte that is no UTF-8 becomes U+FFFD; a surrogate is three such bytes.
  CHECK(back->tenants[0].running[0].uri ==
        std::string("/\xef\xbf\xbd\0\n\"\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 18));
  CHECK(back->tenants[0].running[0].age_ms == 1500);
  CHECK(back->tenants[0].running[0].memory_bytes == 3 << 20);
}

TEST_CASE("figures of the books survive the way back") {
  UsageReport report{1, 2, {{"alice", {}, {{60, {}}}}}};
  report.tenants[0].usage.pids = 2.5;
  report.tenants[0].samples[0].usage.cpu_user_us = 7;
  const auto reply = parse_reply(ok_reply(report));
  REQUIRE(reply.ok());
  const auto usage = result_from_json<UsageReport>(reply->result);
  REQUIRE(usage.ok());
  CHECK(usage->tenants.at(0).usage.pids == 2.5);
  CHECK(usage->tenants[0].samples.at(0).usage.cpu_user_us == 7);
  Samples samples;
  samples.tenants.emplace_back().total.oom_kills = 3;
  CHECK(result_from_json<Samples>(to_json(samples))->tenants.at(0).total.oom_kills == 3);
  Event event;
  event.text = "\xff";
  event.snapshot = R"({"process_count":1,"processes":[{"pid":1}],"requests":[],"cpu_some_avg10":1.5})";
  const auto events = result_from_json<Events>(to_json(Events{{event}, 4}));
  REQUIRE(events.ok());
  CHECK(events->events.at(0).text == "\xef\xbf\xbd");
  CHECK(result_from_json<EventSnapshot>(events->events[0].snapshot)->processes.at(0).pid == 1);
}

TEST_CASE("every state and every severity has its own name") {
  CHECK(std::set(kTenantStates.begin(), kTenantStates.end()).size() ==
        static_cast<std::size_t>(TenantState::kUnusable) + 1);
  for (std::size_t i = 0; i < kTenantStates.size(); ++i) {
    Action action{"a", static_cast<TenantState>(i)};
    CHECK(result_from_json<Action>(to_json(action))->state == action.state);
  }
  CHECK(result_from_json<Findings>(R"({"findings":[{"severity":"warning"}]})")->findings.at(0).severity ==
        FindingSeverity::kWarning);
}

TEST_CASE("a reply of a later version is understood, one that is none is not") {
  const auto reply = parse_reply(R"({"v":1,"ok":true,"result":{"tenant":"a","state":"running","new":[1]}})");
  REQUIRE(reply.ok());
  CHECK(result_from_json<Action>(reply->result)->tenant == "a");
  const auto failed = parse_reply(R"({"v":1,"ok":false,"error":{"code":"new-code","message":"m"}})");
  REQUIRE(failed.ok());
  CHECK(failed->failure->code == ErrorCode::kFailed);
  for (const char *bad :
       {"", "1", "{}", R"({"ok":1})", R"({"ok":true})", R"({"ok":false})", R"({"ok":false,"error":1})"})
    CHECK_FALSE(parse_reply(bad).ok());
  for (const char *bad :
       {"[]", R"({"tenant":1})", R"({"state":"flying"})", R"({"state":1})", R"({"state":null})"})
    CHECK_FALSE(result_from_json<Action>(bad).ok());
  for (const char *bad : {R"({"tenants":{}})", R"({"tenants":[1]})", R"({"tenants":[{"workers":-1}]})",
                          R"({"tenants":[{"workers":4294967296}]})", R"({"tenants":[{"workers":1.5}]})",
                          R"({"tenants":[{"pids":"1"}]})", R"({"host":[]})"})
    CHECK_FALSE(result_from_json<Status>(bad).ok());
}

TEST_CASE("failures have their codes, and codes their exit status") {
  const std::pair<ErrorCode, ExitStatus> table[] = {
      {ErrorCode::kBadRequest, ExitStatus::kUsage},
      {ErrorCode::kNotPermitted, ExitStatus::kNotPermitted},
      {ErrorCode::kUnknownTenant, ExitStatus::kUnknownTenant},
      {ErrorCode::kWrongState, ExitStatus::kFailed},
      {ErrorCode::kConfig, ExitStatus::kUsage},
      {ErrorCode::kFailed, ExitStatus::kFailed},
      {ErrorCode::kNotRunning, ExitStatus::kNotRunning},
  };
  for (const auto &[code, status] : table) {
    const auto reply = parse_reply(error_reply(code, "no \xff"));
    REQUIRE(reply.ok());
    REQUIRE(reply->failure.has_value());
    CHECK(reply->failure->code == code);
    CHECK(reply->failure->message == "no \xef\xbf\xbd");
    CHECK(exit_status_of(code) == status);
  }
}

TEST_CASE("who may what") {
  const Caller root{0, {0}};
  const Caller admin{1000, {1000, 50}};
  const Caller alice{1001, {1001}};
  for (int i = 0; i <= static_cast<int>(Command::kVersion); ++i) {
    const Request request{static_cast<Command>(i), "alice", "", {}};
    INFO(name_of(request.command));
    CHECK(access_of(request, root, std::nullopt, 1001) == Access::kAll);
    CHECK(access_of(request, root, std::nullopt, std::nullopt) == Access::kAll);
    CHECK(access_of(request, admin, 50, 1001) == Access::kAll);
    const bool status = request.command == Command::kStatus || request.command == Command::kUsage ||
                        request.command == Command::kEvents || request.command == Command::kSamples ||
                        request.command == Command::kLog;
    const bool version = request.command == Command::kVersion;
    const Access own = status ? Access::kOwn : version ? Access::kAll : Access::kDenied;
    CHECK(access_of(request, alice, 50, 1001) == own);
    // Without an admin group nobody is in it.
    CHECK(access_of(request, admin, std::nullopt, 1001) == (version ? Access::kAll : Access::kDenied));
    // Another's tenant, and one that does not exist.
    const Access foreign = version ? Access::kAll : Access::kDenied;
    CHECK(access_of(request, alice, 50, 1002) == foreign);
    CHECK(access_of(request, alice, 50, std::nullopt) == foreign);
    // No tenant named.
    CHECK(access_of({request.command, "", "", {}}, alice, 50, std::nullopt) == own);
  }
}

TEST_CASE("the dashboard sees all, and acts with an admin's token only") {
  Caller dashboard{990, {990}};
  dashboard.dashboard = true;
  const auto may = [&](Command command) {
    return access_of({command, "alice", "", {}}, dashboard, 990, 1001);
  };
  for (const Command shows : {Command::kStatus, Command::kUsage, Command::kEvents, Command::kSamples,
                              Command::kLog, Command::kRules, Command::kLogin})
    CHECK(may(shows) == Access::kAll);
  const std::array actions = {Command::kStart,    Command::kStop,      Command::kRestart, Command::kKill,
                              Command::kFreeze,   Command::kThaw,      Command::kBlock,   Command::kUnblock,
                              Command::kThrottle, Command::kUnthrottle};
  for (const Command acts : actions) CHECK(may(acts) == Access::kDenied);
  // Being in the admin group as well, by whose mistake ever, gives it no more.
  for (const Command other : {Command::kSockets, Command::kReload, Command::kLink})
    CHECK(may(other) == Access::kDenied);
  dashboard.admin_token = true;
  for (const Command acts : actions) CHECK(may(acts) == Access::kAll);
  for (const Command other : {Command::kSockets, Command::kReload, Command::kLink})
    CHECK(may(other) == Access::kDenied);
}

namespace {

// A listening socket in a directory of its own.
struct Listener {
  std::string directory = "/tmp/paddock-control-XXXXXX";
  UniqueFd fd;
  Listener() {
    REQUIRE(::mkdtemp(directory.data()) != nullptr);
    fd.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path().data(), path().size());
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd.get(), 4) == 0);
  }
  ~Listener() { std::filesystem::remove_all(directory); }
  [[nodiscard]] std::string path() const { return directory + "/c"; }
  [[nodiscard]] UniqueFd accept() const {
    return UniqueFd(::accept4(fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
};

}  // namespace

TEST_CASE("a client gets its answers, in pieces and several on one connection") {
  const Listener listener;
  std::string received;
  std::thread server([&] {
    const UniqueFd peer = listener.accept();
    char buffer[4096];
    for (int i = 0; i < 2; ++i) {
      const ssize_t got = ::read(peer.get(), buffer, sizeof buffer);
      if (got > 0) received.append(buffer, static_cast<std::size_t>(got));
      const std::string line = ok_reply(Version{std::to_string(i), 1}) + "\n";
      for (const char c : line)
        if (::write(peer.get(), &c, 1) != 1) return;
    }
  });
  auto client = Client::connect(listener.path());
  REQUIRE(client.ok());
  for (int i = 0; i < 2; ++i) {
    const auto reply = client->ask({Command::kVersion, "", "", {}});
    REQUIRE(reply.ok());
    CHECK(result_from_json<Version>(reply->result)->version == std::to_string(i));
  }
  server.join();
  CHECK(received == "{\"v\":1,\"command\":\"version\"}\n{\"v\":1,\"command\":\"version\"}\n");
  CHECK(client->ask({Command::kVersion, "", "", {}}).ok() == false);
}

TEST_CASE("a client does not wait for ever, nor where nobody listens") {
  Listener listener;
  auto client = Client::connect(listener.path());
  REQUIRE(client.ok());
  const auto answer = client->ask({Command::kVersion, "", "", {}}, std::chrono::seconds(1));
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == EAGAIN);
  const UniqueFd peer = listener.accept();
  listener.fd.reset();
  CHECK(Client::connect(listener.path()).error().code == ECONNREFUSED);
  CHECK(Client::connect(listener.path() + "x").error().code == ENOENT);
  CHECK(Client::connect(std::string(200, 'x')).error().code == ENAMETOOLONG);
}
