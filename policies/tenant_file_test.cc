#include "policies/tenant_file.h"

#include "policies/config_test.h"

using namespace paddock;
using namespace paddock::policies;

namespace {

// A config of alice and bob, in a file each.
struct Host {
  Directory directory;
  Config config;

  Host() {
    directory.write("paddock.toml",
                    "include = [\"tenants.d/*.toml\", \"more.d/site-*.toml\"]\n[plan.small]\nworkers = 2\n"
                    "[rule.hog]\nmetric = \"cpu_percent\"\nabove = 90\nwindow = \"1m\"\naction = "
                    "\"kill\"\ntenants = [\"bob\"]\n");
    directory.write("tenants.d/alice.toml", "[tenant.alice]\nplan = \"small\"\n");
    directory.write("tenants.d/others.toml", "[tenant.bob]\n");
    Loaded loaded = directory.load();
    INFO(report(loaded));
    REQUIRE(loaded.config.has_value());
    config = std::move(*loaded.config);
  }
  [[nodiscard]] LoadedTenant load(const std::string &name) const {
    return load_tenant(config, name, test_machine());
  }
  [[nodiscard]] std::shared_ptr<const Tenant> found(const std::string &name) const {
    LoadedTenant loaded = load(name);
    INFO(report(loaded.diagnostics));
    REQUIRE(loaded.tenant.has_value());
    return *loaded.tenant;
  }
  // The first complaint, without the directory.
  [[nodiscard]] std::string complaint(const std::string &name) const {
    const LoadedTenant loaded = load(name);
    CHECK_FALSE(loaded.tenant.has_value());
    REQUIRE_FALSE(loaded.diagnostics.empty());
    const std::string text = loaded.diagnostics.front().to_string();
    return text.starts_with(directory.path) ? text.substr(directory.path.size() + 1) : text;
  }
};

}  // namespace

TEST_CASE("a tenant is read again where it was declared") {
  const Host host;
  host.directory.write("tenants.d/alice.toml",
                       "# moved\n[tenant.alice]\nplan = \"default\"\nhome = \"/srv/alice\"\n");
  const auto alice = host.found("alice");
  REQUIRE(alice != nullptr);
  CHECK(alice->plan == "default");
  CHECK(alice->home == "/srv/alice");
  CHECK(alice->uid == 1001);
  CHECK(alice->where.to_string() == host.directory.path + "/tenants.d/alice.toml:2:9");
  CHECK(host.config.tenants.at("alice")->plan == "small");
  // bob's file has no name of bob's.
  host.directory.write("tenants.d/others.toml", "[tenant.bob]\nplan = \"small\"\n");
  CHECK(host.found("bob")->plan == "small");
}

TEST_CASE("a new tenant is found by the name of its file, where a pattern includes that") {
  const Host host;
  host.directory.write("tenants.d/bob2.toml", "[tenant.bob2]\nuser = \"bob\"\n");
  CHECK(host.found("bob2")->user == "bob");
  host.directory.write("more.d/site-3.toml", "[tenant.site-3]\nuser = \"bob\"\n");
  CHECK(host.found("site-3")->user == "bob");
  // No pattern names these.
  host.directory.write("more.d/bob4.toml", "[tenant.bob4]\nuser = \"bob\"\n");
  CHECK(host.found("bob4") == nullptr);
  host.directory.write("tenants.d/.hidden.toml", "[tenant.\".hidden\"]\nuser = \"bob\"\n");
  CHECK(host.complaint(".hidden").find("is not a name for a tenant") != std::string::npos);
  CHECK(host.complaint("../more.d/bob4").find("is not a name for a tenant") != std::string::npos);
}

TEST_CASE("a tenant whose file is gone, or declares it no more, is removed; one that has moved is found") {
  const Host host;
  std::filesystem::remove(host.directory.path + "/tenants.d/alice.toml");
  CHECK(host.found("alice") == nullptr);
  host.directory.write("tenants.d/alice.toml", "[plan.unused]\n");
  CHECK(host.found("alice") == nullptr);
  host.directory.write("tenants.d/others.toml", "");
  CHECK(host.complaint("bob") ==
        "paddock.toml:4:7: error: rule.hog.tenants: names the tenant \"bob\", which is declared no more");
  host.directory.write("tenants.d/bob.toml", "[tenant.bob]\nhome = \"/srv/bob\"\n");
  CHECK(host.found("bob")->home == "/srv/bob");
}

TEST_CASE("what is wrong is said with file and line, and changes nothing") {
  const Host host;
  const auto alice = [&](const std::string &text) {
    host.directory.write("tenants.d/alice.toml", text);
    return host.complaint("alice");
  };
  CHECK(alice("[tenant.alice]\nplan = \"smal\"\n")
            .starts_with("tenants.d/alice.toml:2:1: error: tenant.alice.plan: there is no plan \"smal\""));
  CHECK(alice("[tenant.alice]\nplam = \"small\"\n")
            .starts_with("tenants.d/alice.toml:2:1: error: tenant.alice.plam: unknown key"));
  CHECK(alice("[tenant.alice\n").find("not valid TOML") != std::string::npos);
  CHECK(alice("tenant.alice = 1\n").find("wrong value") != std::string::npos);
  CHECK(alice("[tenant.alice]\nuser = \"root\"\n").find("cannot hold root") != std::string::npos);
  // That its account is missing is no mistake of the file's.
  host.directory.write("tenants.d/alice.toml", "[tenant.alice]\nuser = \"ghost\"\n");
  const LoadedTenant ghost = host.load("alice");
  REQUIRE(ghost.tenant.has_value());
  CHECK((*ghost.tenant)->problem == "user \"ghost\" does not exist");
  CHECK(ghost.diagnostics.size() == 1);
}
