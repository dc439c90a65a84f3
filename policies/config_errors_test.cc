// Wrong configs: each must be complained about at the right place, about the right key, with a word that
// helps.
#include <catch2/catch.hpp>

#include "policies/config_test.h"

using namespace paddock;
using namespace paddock::policies;

namespace {

struct Bad {
  const char *text;
  std::uint32_t line;
  const char *key;
  const char *says;  // a part of the explanation
};

const Bad kBad[] = {
    // The file as a whole.
    {"[runtime\n", 1, "", "not valid TOML"},
    {"[tenant.jos\xc3\xa9]\n", 1, "", "not valid TOML"},
    {"[plan.a]\nidle = \xc3\xa9\n", 2, "", "not valid TOML"},
    {"[plan.a]\nidle = n\x1b[2J\n", 2, "", "\\x1b"},
    {"[plan.a]\nidle =\x01\n", 2, "", "not valid TOML"},
    {"[;tenant]\n", 1, "", "not valid TOML"},
    {"[[;]]\n", 1, "", "not valid TOML"},
    {"\n\nrun_dir == 1\n", 3, "", "not valid TOML"},
    {"[tenant.alice]\n[tenant.bob]\n[tenant.alice]\n", 3, "", "not valid TOML"},
    {"[plan.a]\nworkers = 1\nworkers = 2\n", 3, "", "not valid TOML"},
    {"[plan.a]\nidle = \"30s\n", 2, "", "not valid TOML"},
    {"\xff = 1\n", 1, "", "not valid TOML"},
    {"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.A.B.C.D.E.F.G.H = 1\n", 1, "", "nested too deeply"},
    {"[tenants.alice]\n", 1, "tenants", "did you mean \"tenant\"?"},
    {"[Runtime]\n", 1, "Runtime", "did you mean \"runtime\"?"},
    {"[nginx]\n", 1, "nginx",
     "one of include, runtime, apache, dashboard, mail, notify, network, plan, tenant"},
    {"workers = 4\n", 1, "workers", "unknown key"},
    {"tenant = 5\n", 1, "tenant", "expected a table, found integer 5"},
    {"runtime = []\n", 1, "runtime", "expected a table, found an array"},
    {"[[plan]]\n", 1, "plan", "expected a table"},
    // include
    {"include = \"tenants.d/*.toml\"\n", 1, "include", "expected an array of strings"},
    {"include = [\n  5,\n]\n", 2, "include", "found integer 5"},
    {"include = [\"none.toml\"]\n", 1, "include", "there is no file \"/etc/none.toml\""},
    {"include = [\"/\"]\n", 1, "include", "Is a directory"},
    // [runtime]
    {"[runtime]\nrundir = \"/x\"\n", 2, "runtime.rundir", "did you mean \"run_dir\"?"},
    {"[runtime]\nrun_dir = 5\n", 2, "runtime.run_dir", "an absolute path"},
    {"[runtime]\nrun_dir = \"run\"\n", 2, "runtime.run_dir", "found string \"run\""},
    {"[runtime]\nstate_dir = \"/var/../etc\"\n", 2, "runtime.state_dir", "without \".\" and \"..\""},
    {"[runtime]\nlog_dir = \"\"\n", 2, "runtime.log_dir", "an absolute path"},
    {"[runtime]\nlog_dir = \"/\"\n", 2, "runtime.log_dir", "the root directory"},
    {"[runtime]\nlog_dir = \"/a//b\"\n", 2, "runtime.log_dir", "an absolute path"},
    {"[runtime]\nlog_dir = \"/a\\u001b[2J\"\n", 2, "runtime.log_dir", "found string \"/a\\x1b[2J\""},
    {"[runtime]\nrun_dir = \"/a/run/directory/that/is/so/long/that/no/name/fits/behind/it/any/more\"\n", 2,
     "runtime.run_dir", "at most 59 bytes"},
    {"[runtime]\nlog_level = \"warn\"\n", 2, "runtime.log_level", "one of debug, info, warning, error"},
    {"[runtime]\nlog_level = \"inof\"\n", 2, "runtime.log_level", "did you mean \"info\"?"},
    {"[runtime]\ngateway_user = \"nobody-here\"\n", 2, "runtime.gateway_user",
     "\"nobody-here\" does not exist"},
    {"[runtime]\ngateway_user = \"root\"\n", 2, "runtime.gateway_user", "is uid 0"},
    {"[runtime]\ngateway_user = \"unlucky\"\n", 2, "runtime.gateway_user", "Input/output error"},
    {"[runtime]\nadmin_group = \"nobody-here\"\n", 2, "runtime.admin_group", "does not exist"},
    {"[runtime]\nadmin_group = \"unlucky\"\n", 2, "runtime.admin_group", "Input/output error"},
    {"[runtime]\ncgroup = \"/sys/fs/cgroup/x\"\n", 2, "runtime.cgroup", "below the cgroup2 mount"},
    {"[runtime]\ncgroup = \"a/../..\"\n", 2, "runtime.cgroup", "below the cgroup2 mount"},
    {"[runtime]\nallow_missing_controllers = \"yes\"\n", 2, "runtime.allow_missing_controllers",
     "true or false"},
    {"[runtime]\nrefusal_page = \"/nonexistent/page.html\"\n", 2, "runtime.refusal_page", "No such file"},
    {"[runtime]\nrefusal_page = \"/bin/bash\"\n", 2, "runtime.refusal_page", "at most 16 KiB"},
    {"[runtime]\nstop_patience = \"1h\"\n", 2, "runtime.stop_patience", "from 0 to 10m"},
    {"[runtime]\nphp = \"8\"\n", 2, "runtime.php", "there is no PHP \"8\"; expected a version"},
    {"[runtime]\nphp_ini_dir = false\n", 2, "runtime.php_ini_dir", "found boolean false"},
    // [apache]
    {"[apache]\nuser = \"apache\"\n", 2, "apache.user", "\"apache\" does not exist"},
    {"[apache]\nusr = \"www-data\"\n", 2, "apache.usr", "did you mean \"user\"?"},
    {"[apache]\nuser = 33\n", 2, "apache.user", "expected a string, found integer 33"},
    // [plan.NAME]
    {"[plan]\nworkers = 4\n", 2, "plan.workers", "a table [plan.NAME]"},
    {"[plan.Small]\n", 1, "plan.Small", "beginning with a letter or digit"},
    {"[plan.\"\"]\n", 1, "plan", "1 to 63"},
    {"[plan.a]\nworker = 2\n", 2, "plan.a.worker", "did you mean \"workers\"?"},
    {"[plan.a]\nworkers = 0\n", 2, "plan.a.workers", "from 1 to 256, found integer 0"},
    {"[plan.a]\nworkers = 257\n", 2, "plan.a.workers", "from 1 to 256"},
    {"[plan.a]\nworkers = -1\n", 2, "plan.a.workers", "found integer -1"},
    {"[plan.a]\nworkers = \"4\"\n", 2, "plan.a.workers", "found string \"4\""},
    {"[plan.a]\nworkers = 4.0\n", 2, "plan.a.workers", "found float"},
    {"[plan.a]\nidle = 60\n", 2, "plan.a.idle", "a duration such as \"30s\" or \"5m\""},
    {"[plan.a]\nidle = \"1 minute\"\n", 2, "plan.a.idle", "found string \"1 minute\""},
    {"[plan.a]\nidle = 1979-05-27\n", 2, "plan.a.idle", "a date or time"},
    {"[plan.a]\nrequests_per_worker = 4294967296\n", 2, "plan.a.requests_per_worker", "to 4294967295"},
    {"[plan.a]\nqueue = 65536\n", 2, "plan.a.queue", "to 65535"},
    {"[plan.a]\nqueue_time = \"2h\"\n", 2, "plan.a.queue_time", "from 0 to 1h"},
    {"[plan.a]\ndeadline = \"2d\"\n", 2, "plan.a.deadline", "from 0 to 1d"},
    {"[plan.a]\ntmp_size = \"1K\"\n", 2, "plan.a.tmp_size", "from 64K"},
    {"[plan.a]\ntmp_size = \"64MB\"\n", 2, "plan.a.tmp_size", "a size such as \"64M\""},
    {"[plan.a]\nopcache = \"8M\"\n", 2, "plan.a.opcache", "from 16M to 16G"},
    {"[plan.a]\nopcache = \"33000K\"\n", 2, "plan.a.opcache", "not a whole number of MiB"},
    {"[plan.a]\nopcache = true\n", 2, "plan.a.opcache", "a size such as \"64M\""},
    {"[plan.a]\nphp = \"legacy\"\n[php.legacies]\n", 2, "plan.a.php", "did you mean \"legacies\"?"},
    {"[php.8.4]\nini_dir = \"/\"\n", 1, "php.8", "[php.\"8.4\"]"},
    {"[php.\"8.4\"]\nini = \"/\"\n", 2, "php.\"8.4\".ini", "ini_dir"},
    {"[php.\"8.4\"]\nprogram = \"php\"\n", 2, "php.\"8.4\".program", "an absolute path"},
    {"[plan.a]\nopcache_files = 1\n", 2, "plan.a.opcache_files", "true or false"},
    {"[plan.a]\nini_from_web = \"values\"\n", 2, "plan.a.ini_from_web", "did you mean \"value\"?"},
    {"[plan.a]\nrepair = [\"slash\"]\n", 2, "plan.a.repair", "some of redirect, authorization, slashes"},
    {"[plan.a]\nstatus_path = \"status\"\n", 2, "plan.a.status_path", "one that begins with /"},
    {"[plan.a]\nini_from_web = true\n", 2, "plan.a.ini_from_web", "one of none, value, admin"},
    {"[plan.a]\ncpu = 150\n", 2, "plan.a.cpu", "such as \"150%\""},
    {"[plan.a]\ncpu = \"0%\"\n", 2, "plan.a.cpu", "from 1%"},
    {"[plan.a]\ncpu_weight = 10001\n", 2, "plan.a.cpu_weight", "from 1 to 10000"},
    {"[plan.a]\nmemory_max = 128\n", 2, "plan.a.memory_max", "from 4M"},
    {"[plan.a]\nmemory_max = \"lots\"\n", 2, "plan.a.memory_max", "found string \"lots\""},
    {"[plan.a]\nmemory_high = \"2G\"\nmemory_max = \"1G\"\n", 2, "plan.a.memory_high",
     "(2G) is above memory_max (1G)"},
    {"[plan.a]\nmemory_high = \"2G\"\n[plan.b]\ninherits = \"a\"\nmemory_max = \"1G\"\n", 5,
     "plan.b.memory_max", "is above memory_max"},
    {"[plan.a]\nswap_max = -1\n", 2, "plan.a.swap_max", "found integer -1"},
    {"[plan.a]\npids = 0\n", 2, "plan.a.pids", "from 1 to 4194304"},
    {"[plan.a]\nworkers = 8\npids = 8\n", 3, "plan.a.pids", "pids >= 9"},
    {"[plan.a]\nio_weight = 0\n", 2, "plan.a.io_weight", "from 1 to 10000"},
    {"[plan.a.io]\ndevice = \"/srv\"\n", 1, "plan.a.io", "under [[plan.a.io]]"},
    {"[plan.a]\nio = [5]\n", 2, "plan.a.io", "found integer 5"},
    {"[[plan.a.io]]\nread_bps = \"1M\"\n", 1, "plan.a.io.device", "missing"},
    {"[[plan.a.io]]\ndevice = \"/srv\"\n", 1, "plan.a.io", "limits nothing"},
    {"[[plan.a.io]]\ndevice = \"/srv\"\nweight = 0\n", 3, "plan.a.io.weight", "from 1 to 10000"},
    {"[[plan.a.io]]\ndevice = \"/srv\"\nread_bps = \"1K\"\n", 3, "plan.a.io.read_bps", "from 4K"},
    {"[[plan.a.io]]\ndevice = \"/srv\"\nread_ops = 5\n", 3, "plan.a.io.read_ops",
     "did you mean \"read_bps\"?"},
    {"[plan.a]\ninherits = \"defualt\"\n", 2, "plan.a.inherits", "did you mean \"default\"?"},
    {"[plan.a]\ninherits = 1\n", 2, "plan.a.inherits", "expected a string"},
    {"[plan.a]\ninherits = \"a\"\n", 2, "plan.a.inherits", "cannot inherit from itself"},
    {"[plan.a]\ninherits = \"b\"\n[plan.b]\ninherits = \"c\"\n[plan.c]\ninherits = \"a\"\n", 6,
     "plan.c.inherits", "by way of \"a\""},
    // ini, environment, binds
    {"[plan.a]\nphp_value = \"x\"\n", 2, "plan.a.php_value", "expected a table"},
    {"[plan.a.php_value]\n\"memory limit\" = 1\n", 2, "plan.a.php_value.\"memory limit\"",
     "not the name of a php.ini"},
    {"[plan.a.php_value]\nmemory_limit = []\n", 2, "plan.a.php_value.memory_limit", "found an array"},
    {"[plan.a.php_admin_value]\nmemory_limit = \"1\\n2\"\n", 2, "plan.a.php_admin_value.memory_limit",
     "without control characters"},
    {"[plan.a.php_value]\nopcache.enable = 1\n\"opcache.enable\" = 0\n", 3,
     "plan.a.php_value.\"opcache.enable\"", "set twice"},
    {"[plan.a.env]\n\"A=B\" = 1\n", 2, "plan.a.env.\"A=B\"", "not the name of an environment variable"},
    {"[plan.a.env]\n1ST = 1\n", 2, "plan.a.env.1ST", "not beginning with a digit"},
    {"[plan.a.env]\nA = \"\\u0000\"\n", 2, "plan.a.env.A", "wrong value"},
    {"[[plan.a.bind]]\ntarget = \"/x\"\n", 1, "plan.a.bind.source", "missing"},
    {"[[plan.a.bind]]\nsource = \"x\"\n", 2, "plan.a.bind.source", "an absolute path"},
    {"[[plan.a.bind]]\nsource = \"/srv\"\ntarget = \"/proc/sys\"\n", 3, "plan.a.bind.target",
     "would cover \"/proc\""},
    {"[[plan.a.bind]]\nsource = \"/srv\"\ntarget = \"/\"\n", 3, "plan.a.bind.target", "would cover \"/\""},
    {"[[plan.a.bind]]\nsource = \"/usr\"\n", 2, "plan.a.bind.source", "would cover \"/usr\""},
    {"[[plan.a.bind]]\nsource = \"/\"\ntarget = \"/host\"\n", 2, "plan.a.bind.source", "would show"},
    {"[[plan.a.bind]]\nsource = \"/run/paddock/sockets\"\n", 2, "plan.a.bind.source",
     "would show \"/run/paddock\""},
    {"[[plan.a.bind]]\nsource = \"/var/lib\"\n", 2, "plan.a.bind.source", "would show \"/var/lib/paddock\""},
    {"[[plan.a.bind]]\nsource = \"/srv\"\nwriteable = true\n", 3, "plan.a.bind.writeable",
     "did you mean \"writable\"?"},
    {"[[plan.a.bind]]\nsource = \"/missing\"\n", 2, "plan.a.bind.source", "there is no \"/missing\""},
    {"[[plan.a.bind]]\nsource = \"/srv\"\nnodev = false\n", 1, "plan.a.bind", "a grant named \"loose-bind\""},
    {"[[plan.a.bind]]\nsource = \"/srv\"\nwritable = 1\n", 3, "plan.a.bind.writable", "true or false"},
    // [tenant.NAME]
    {"[tenant]\nalice = \"alice\"\n", 2, "tenant.alice", "a table [tenant.NAME]"},
    {"[tenant.Alice]\n", 1, "tenant.Alice", "not a name for a tenant"},
    {"[tenant.\"../x\"]\n", 1, "tenant.\"../x\"", "not a name for a tenant"},
    {"[tenant.\"a\\nb\"]\n", 1, "tenant.\"a\\x0ab\"", "not a name for a tenant"},
    {"[tenant.a1234567890123456789012345678901234567890123456789012345678901234567890]\n", 1,
     "tenant.a1234567890123456789012345678901234567890123456789012345678901234567890", "1 to 63"},
    {"[tenant.alice.wiki]\n", 1, "tenant.alice.wiki", "a name with a dot in it is written in quotes"},
    {"[tenant.alice]\nusr = \"alice\"\n", 2, "tenant.alice.usr", "did you mean \"user\"?"},
    {"[tenant.alice]\nuser = 1001\n", 2, "tenant.alice.user", "expected a string"},
    {"[tenant.alice]\nuser = \"\"\n", 2, "tenant.alice.user", "empty"},
    {"[tenant.alice]\nuser = \"a\\u0000b\"\n", 2, "tenant.alice.user", "without a NUL character"},
    {"[tenant.alice]\nuser = \"root\"\n", 2, "tenant.alice.user", "is uid 0"},
    {"[tenant.root]\n", 1, "tenant.root.user", "is uid 0"},
    {"[tenant.alice]\nuser = \"operator\"\n", 2, "tenant.alice.user", "group 0"},
    {"[tenant.alice]\nuser = \"www-data\"\n", 2, "tenant.alice.user", "web server's own user"},
    {"[tenant.alice]\nuser = \"paddock-gateway\"\n", 2, "tenant.alice.user", "gateway's user"},
    {"[plan.a]\naccess_format = \"%Z\"\n", 2, "plan.a.access_format", "%Z means nothing"},
    {"[plan.a]\naccess_format = \"%{x\"\n", 2, "plan.a.access_format", "a brace is not closed"},
    {"[plan.a]\naccess_format = \"%e\"\n", 2, "plan.a.access_format", "needs a name"},
    {"[plan.a]\naccess_format = \"a%\"\n", 2, "plan.a.access_format", "in the middle"},
    {"[plan.a]\naccess_format = \"\"\n", 2, "plan.a.access_format", "empty"},
    {"[plan.a]\naccess_suppress = [\"x\"]\n", 2, "plan.a.access_suppress", "begins with /"},
    {"[plan.a]\nemergency_restart = -1\n", 2, "plan.a.emergency_restart", "0"},
    {"[plan.a]\nemergency_restart_interval = \"1ms\"\n", 2, "plan.a.emergency_restart_interval", "1s"},
    {"[plan.a]\nclear_env = \"no\"\n", 2, "plan.a.clear_env", "true or false"},
    {"[tenant.alice]\nkind = \"python\"\n", 2, "tenant.alice.kind", "php"},
    {"[tenant.alice]\ncommand = [\"/a\"]\n", 2, "tenant.alice.command", "kind = \"fastcgi\""},
    {"[tenant.alice]\nkind = \"cgi\"\ncommand = [\"/a\"]\n", 3, "tenant.alice.command", "kind = \"fastcgi\""},
    {"[tenant.alice]\nkind = \"fastcgi\"\ncommand = []\n", 3, "tenant.alice.command", "an absolute path"},
    {"[tenant.alice]\nkind = \"fastcgi\"\ncommand = [\"a\"]\n", 3, "tenant.alice.command",
     "an absolute path"},
    {"[tenant.alice]\nkind = \"fastcgi\"\ncommand = \"/a\"\n", 3, "tenant.alice.command", "array"},
    {"[tenant.alice]\nkind = \"fastcgi\"\nlisten = \"/a\"\n", 3, "tenant.alice.listen", "command"},
    {"[tenant.alice]\nhome = \"alice\"\n", 2, "tenant.alice.home", "an absolute path"},
    {"[tenant.alice]\nplan = \"smal\"\n[plan.small]\n", 2, "tenant.alice.plan", "did you mean \"small\"?"},
    {"[tenant.alice]\nplan = 1\n", 2, "tenant.alice.plan", "expected a string"},
    {"[tenant.alice]\nworkers = 2\n", 2, "tenant.alice.workers", "unknown key"},
    {"[runtime]\nrun_dir = \"/run/some/where/rather/far/down/in/the/tree/paddock\"\n[tenant.alice]\nhome = "
     "\"/home/alice\"\n[tenant.alice-the-greatest]\nuser=\"alice\"\n",
     5, "tenant.alice-the-greatest", "at most 9 characters"},
};

const Diagnostic *error_of(const Loaded &loaded) {
  for (const auto &found : loaded.diagnostics)
    if (found.severity == Severity::kError) return &found;
  return nullptr;
}

}  // namespace

TEST_CASE("every wrong config is refused at its place") {
  for (const Bad &bad : kBad) {
    INFO(bad.text);
    const Loaded loaded = parse(bad.text);
    CHECK_FALSE(loaded.config.has_value());
    const Diagnostic *error = error_of(loaded);
    REQUIRE(error != nullptr);
    INFO(error->to_string());
    CHECK(error->where.file == "/etc/paddock.toml");
    CHECK(error->where.line == bad.line);
    CHECK(error->where.column >= 1);
    CHECK(error->key == bad.key);
    CHECK(error->explanation().find(bad.says) != std::string::npos);
    // One mistake, one complaint.
    CHECK(loaded.diagnostics.size() == 1);
  }
}

TEST_CASE("columns are those of the key, or of the value that is wrong") {
  CHECK(parse("[plan.a]\n  worker = 2\n").diagnostics.at(0).where.to_string() == "/etc/paddock.toml:2:3");
  CHECK(parse("[plan.a]\n  workers = 0\n").diagnostics.at(0).where.to_string() == "/etc/paddock.toml:2:13");
  CHECK(parse("[plan.a]\nworker = 2").diagnostics.at(0).to_string() ==
        "/etc/paddock.toml:2:1: error: plan.a.worker: unknown key; did you mean \"workers\"?");
}

TEST_CASE("all mistakes are told at once, in the order of the file") {
  const Loaded loaded = parse(
      "[tenant.alice]\nuser = 5\nplan = \"none-such\"\n"
      "[plan.b]\nworkers = 0\nidle = 1\ncpus = 1\n"
      "[runtime]\nrun_dir = 5\nlog_level = 6\n");
  std::vector<std::uint32_t> lines;
  for (const auto &found : loaded.diagnostics) lines.push_back(found.where.line);
  CHECK(lines == std::vector<std::uint32_t>{2, 3, 5, 6, 7, 9, 10});
}

TEST_CASE("a file that is not there") {
  const Loaded loaded = load_config("/nonexistent/paddock.toml");
  CHECK_FALSE(loaded.config.has_value());
  REQUIRE(loaded.diagnostics.size() == 1);
  CHECK(loaded.diagnostics[0].to_string() ==
        "/nonexistent/paddock.toml: error: open /nonexistent/paddock.toml: No such file or directory");
}

TEST_CASE("a tenant that cannot run is named, and the others run") {
  const Loaded loaded = parse(
      "[tenant.alice]\n"
      "[tenant.ghost]\n"
      "[tenant.bob]\nhome = \"/home/bob/gone\"\n"
      "[tenant.homeless]\n"
      "[tenant.unlucky]\n");
  REQUIRE(loaded.config.has_value());
  const auto &tenants = loaded.config->tenants;
  CHECK(tenants.at("alice")->problem.empty());
  CHECK(tenants.at("ghost")->problem == "user \"ghost\" does not exist");
  CHECK(tenants.at("bob")->problem == "home \"/home/bob/gone\" cannot be used: No such file or directory");
  CHECK(tenants.at("homeless")->problem == "home \"/\" is not a directory of the user's own");
  CHECK(tenants.at("unlucky")->problem.find("Input/output error") != std::string::npos);
  REQUIRE(loaded.diagnostics.size() == 4);
  CHECK(
      loaded.diagnostics[0].to_string() ==
      "/etc/paddock.toml:2:9: warning: tenant.ghost: user \"ghost\" does not exist; this tenant is left out");
}
