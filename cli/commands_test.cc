// The program's commands against a control socket that answers from a list: output and exit status.
#include "cli/check.h"
#include "cli/doctor.h"
#include "cli/fake_supervisor.h"
#include "cli/status.h"
#include "cli/vhost.h"
#include "policies/socket_path.h"

using namespace paddock;
using namespace paddock::cli;
using control::Command;

TEST_CASE("status finds the supervisor by the config, and prints what it says") {
  Run run;
  control::Status answer;
  answer.host.emplace().missing_controllers = {"memory"};
  answer.tenants.emplace_back().name = "alice";
  Supervisor supervisor(run.socket(), ok_reply(answer));
  SECTION("for people") {
    CHECK(status(run.session, "") == ExitStatus::kOk);
    CHECK(supervisor.asked() == "{\"v\":1,\"command\":\"status\"}\n");
    CHECK(run.out.str().find("alice   stopped") != std::string::npos);
    CHECK(run.err.str() == "paddock: this host's cgroup v2 lacks memory: those limits are not enforced\n");
  }
  SECTION("for programs") {
    run.session.json = true;
    CHECK(status(run.session, "alice") == ExitStatus::kOk);
    CHECK(supervisor.asked() == "{\"v\":1,\"command\":\"status\",\"tenant\":\"alice\"}\n");
    const auto back = control::result_from_json<control::Status>(run.out.str());
    REQUIRE(back.ok());
    CHECK(back->tenants.at(0).name == "alice");
    CHECK(run.err.str().empty());
  }
}

TEST_CASE("a tenant's state is changed, and the new one told") {
  Run run;
  Supervisor supervisor(run.socket(), ok_reply(control::Action{"alice", control::TenantState::kBlocked}));
  CHECK(act(run.session, {Command::kBlock, "alice", "spam", 1'900'000'000}) == ExitStatus::kOk);
  CHECK(supervisor.asked() ==
        "{\"v\":1,\"command\":\"block\",\"tenant\":\"alice\",\"reason\":\"spam\",\"until\":1900000000}\n");
  CHECK(run.out.str() == "alice: blocked\n");
}

TEST_CASE("failures have their exit status and say why") {
  Run run;
  SECTION("unknown tenant") {
    Supervisor supervisor(run.socket(),
                          control::error_reply(control::ErrorCode::kUnknownTenant, "no tenant \x1b[2J"));
    CHECK(act(run.session, {Command::kStop, "alice", "", {}}) == ExitStatus::kUnknownTenant);
    CHECK(run.err.str() == "paddock: \"no tenant \\x1b[2J\"\n");
    CHECK(run.out.str().empty());
  }
  SECTION("not permitted, as JSON") {
    run.session.json = true;
    Supervisor supervisor(run.socket(), control::error_reply(control::ErrorCode::kNotPermitted, "no"));
    CHECK(reload(run.session, "") == ExitStatus::kNotPermitted);
    CHECK(control::parse_reply(run.out.str())->failure->code == control::ErrorCode::kNotPermitted);
    CHECK(run.err.str().empty());
  }
  SECTION("nonsense") {
    Supervisor supervisor(run.socket(), "nonsense");
    CHECK(status(run.session, "") == ExitStatus::kFailed);
    CHECK_FALSE(run.err.str().empty());
  }
  SECTION("not running") {
    CHECK(status(run.session, "") == ExitStatus::kNotRunning);
    CHECK(run.err.str().find("is paddockd running?") != std::string::npos);
  }
  SECTION("a config that is not there") {
    run.session.config = run.directory.path + "/none.toml";
    CHECK(status(run.session, "") == ExitStatus::kUsage);
    run.session.config_given = false;
    run.session.socket = run.directory.path + "/none.sock";
    CHECK(status(run.session, "") == ExitStatus::kNotRunning);
  }
}

TEST_CASE("a reload names what changed") {
  Run run;
  control::Reloaded answer{
      {"a"}, {"b", "c"}, {}, {{control::FindingSeverity::kWarning, "f:1:1", "no user", ""}}};
  Supervisor supervisor(run.socket(), ok_reply(answer));
  CHECK(reload(run.session, "") == ExitStatus::kOk);
  CHECK(run.out.str() == "added: a\nchanged: b c\n");
  CHECK(run.err.str() == "f:1:1: warning: no user\n");
}

TEST_CASE("check") {
  Run run;
  CHECK(check(run.session) == ExitStatus::kOk);
  CHECK(run.out.str() == run.session.config + ": 0 tenants, 1 plans: fine\n");
  run.out.str("");
  run.write("[tenant.ghost]\nuser = \"no-such-user-of-ours\"\n");
  CHECK(check(run.session) == ExitStatus::kFailed);
  CHECK(run.out.str() == run.session.config +
                             ":6:9: warning: tenant.ghost: user \"no-such-user-of-ours\" does not exist; "
                             "this tenant is left out\n");
  run.out.str("");
  run.write("[plan.a]\nworker = 2\nidle = 5\n");
  run.session.json = true;
  CHECK(check(run.session) == ExitStatus::kUsage);
  const auto findings = control::result_from_json<control::Findings>(run.out.str());
  REQUIRE(findings.ok());
  REQUIRE(findings->findings.size() == 2);
  CHECK(findings->findings[0].severity == control::FindingSeverity::kError);
  CHECK(findings->findings[0].subject == run.session.config + ":7:1");
}

TEST_CASE("sockets and vhost: from the supervisor, or from the key") {
  Run run;
  SECTION("from the supervisor") {
    const control::Sockets answer{{{"alice", "/s/alice.sock", 5'000, 1'000}, {"bob", "/s/bob.sock", 0, 0}}};
    Supervisor supervisor(run.socket(), ok_reply(answer));
    SECTION("sockets") {
      CHECK(sockets(run.session, "") == ExitStatus::kOk);
      CHECK(run.out.str() == "alice\t/s/alice.sock\nbob\t/s/bob.sock\n");
    }
    SECTION("vhost") {
      run.session.json = true;
      CHECK(vhost(run.session, {"alice"}) == ExitStatus::kOk);
      const auto back = control::result_from_json<control::Vhost>(run.out.str());
      REQUIRE(back.ok());
      CHECK(back->socket == "/s/alice.sock");
      CHECK(back->lines == vhost_lines({"alice"}, answer.sockets[0]));
    }
    SECTION("a name that is none") {
      CHECK(vhost(run.session, {"alice", "apache", "a b"}) == ExitStatus::kUsage);
    }
  }
  SECTION("from the key") {
    run.write(
        "[plan.p]\ndeadline = \"20s\"\n[tenant.alice]\nuser = \"no-such-user-of-ours\"\nplan = \"p\"\n");
    CHECK(sockets(run.session, "") == ExitStatus::kNotRunning);
    const auto key = policies::load_or_create_socket_key(run.directory.path + "/state");
    REQUIRE(key.ok());
    policies::Runtime runtime;
    runtime.run_dir = run.directory.path + "/run";
    const std::string path = policies::socket_path(runtime, *key, "alice");
    CHECK(sockets(run.session, "") == ExitStatus::kOk);
    CHECK(run.out.str() == "alice\t" + path + "\n");
    CHECK(sockets(run.session, "bob") == ExitStatus::kUnknownTenant);
    run.out.str("");
    CHECK(vhost(run.session, {"alice"}) == ExitStatus::kOk);
    CHECK(run.out.str().find("proxy:unix:" + path + "|fcgi://alice") != std::string::npos);
    CHECK(run.out.str().find("timeout=40 ") != std::string::npos);
    CHECK(vhost(run.session, {"bob"}) == ExitStatus::kUnknownTenant);
  }
}

TEST_CASE("doctor says that the supervisor does not run, and how it does") {
  Run run;
  SECTION("it does not") {
    CHECK(doctor(run.session) == ExitStatus::kFailed);
    CHECK(run.out.str().find("error    supervisor: ") != std::string::npos);
    CHECK(run.out.str().find("         mend: systemctl start paddock") != std::string::npos);
  }
  SECTION("it does, without its zygote") {
    run.session.json = true;
    control::Doctor answer;
    answer.host.gateway_pid = 5;
    answer.findings.push_back({control::FindingSeverity::kWarning, "own", "finding", "mend"});
    Supervisor supervisor(run.socket(), ok_reply(answer));
    CHECK(doctor(run.session) == ExitStatus::kFailed);
    const auto back = control::result_from_json<control::Findings>(run.out.str());
    REQUIRE(back.ok());
    const auto told = [&](const std::string &subject, const std::string &message) {
      for (const auto &finding : back->findings)
        if (finding.subject == subject && finding.message == message) return true;
      return false;
    };
    CHECK(told("supervisor", "PHP's zygote is not running"));
    CHECK(told("own", "finding"));
  }
  SECTION("a config with errors") {
    run.write("[nonsense]\n");
    CHECK(doctor(run.session) == ExitStatus::kFailed);
    CHECK(run.out.str().find("nonsense: unknown key") != std::string::npos);
  }
}
