#include <catch2/catch.hpp>

#include "cli/top_model.h"
#include "cli/top_terminal.h"
#include "cli/top_view.h"

using namespace paddock;
using namespace paddock::cli;
using std::chrono::seconds;

namespace {

control::TenantStatus tenant(const std::string &name, std::uint64_t cpu_us, std::uint64_t memory) {
  control::TenantStatus status;
  status.name = name;
  status.state = control::TenantState::kRunning;
  status.plan = "default";
  status.cpu_us = cpu_us;
  status.memory_bytes = memory;
  status.workers_max = 4;
  return status;
}

TopModel model_of(const std::vector<control::TenantStatus> &before,
                  const std::vector<control::TenantStatus> &now) {
  TopModel model;
  const auto start = TopModel::Clock::now();
  control::Status status;
  status.host.emplace();
  status.tenants = before;
  model.take(status, {}, start);
  status.tenants = now;
  model.take(status, {}, start + seconds(2));
  return model;
}

std::string whole(const std::vector<TopLine> &lines) {
  std::string text;
  for (const auto &line : lines) text += line.text + "\n";
  return text;
}

}  // namespace

TEST_CASE("top: rates, order, filter") {
  const TopModel model =
      model_of({tenant("alice", 0, 5000), tenant("bob", 0, 9000), tenant("carol", 9'000'000, 1)},
               {tenant("alice", 2'000'000, 5000), tenant("bob", 200'000, 9000), tenant("carol", 10, 1)});
  const auto by_cpu = model.rows(TopOrder::kCpu, false, "");
  REQUIRE(by_cpu.size() == 3);
  CHECK(by_cpu[0].tenant == "alice");
  CHECK(by_cpu[0].cpu_percent == Approx(100));
  CHECK(by_cpu[1].cpu_percent == Approx(10));
  CHECK(by_cpu[2].cpu_percent == 0);  // a new sandbox, whose counter began again
  CHECK(model.rows(TopOrder::kMemory, false, "")[0].tenant == "bob");
  CHECK(model.rows(TopOrder::kName, true, "")[0].tenant == "carol");
  const auto found = model.rows(TopOrder::kCpu, false, "bo");
  REQUIRE(found.size() == 1);
  CHECK(found[0].tenant == "bob");
}

TEST_CASE("top: the picture fits, whatever the terminal") {
  std::vector<control::TenantStatus> many;
  for (int i = 0; i < 100; ++i)
    many.push_back(tenant("tenant-with-a-rather-long-name-" + std::to_string(i), 1, 1));
  const TopModel model = model_of(many, many);
  for (const bool open : {false, true})
    for (const std::size_t columns : {1UL, 20UL, 80UL, 200UL})
      for (const std::size_t lines : {1UL, 2UL, 5UL, 24UL, 60UL}) {
        TopScreen screen;
        screen.open = open;
        screen.selected = many[99].name;
        const auto picture = draw_top(model, screen, columns, lines, 0);
        CHECK(picture.size() == lines);
        for (const auto &line : picture) CHECK(line.text.size() <= columns);
      }
}

TEST_CASE("top: the selected tenant stays in sight") {
  std::vector<control::TenantStatus> many;
  for (int i = 100; i < 200; ++i) many.push_back(tenant("t" + std::to_string(i), 1, 1));
  const TopModel model = model_of(many, many);
  TopScreen screen;
  screen.order = TopOrder::kName;
  for (const char *name : {"t100", "t150", "t199"}) {
    screen.selected = name;
    const auto picture = draw_top(model, screen, 80, 24, 0);
    CHECK(whole(picture).find(std::string(name) + " ") != std::string::npos);
  }
}

TEST_CASE("top: at 80 columns every figure is there") {
  const TopModel model = model_of({tenant("alice", 0, 5000)}, {tenant("alice", 2'000'000, 5000)});
  TopScreen screen;
  const std::string text = whole(draw_top(model, screen, 80, 24, 0));
  for (const char *title : {"TENANT", "STATE", "CPU%v", "MEM", "REQ/S", "REF/S", "IO/S", "BUSY", "PIDS"}) {
    INFO(title);
    CHECK(text.find(title) != std::string::npos);
  }
  CHECK(text.find("alice                 running       100") != std::string::npos);
}

TEST_CASE("top: what a tenant wrote drives no terminal") {
  auto status = tenant("alice", 0, 0);
  status.running.push_back({7, "G\x1b[2JT", "/\x1b]0;owned\x07" + std::string(1'000'000, 'x'),
                            "/\x9b"
                            "31m\n.php",
                            5, 3 << 20});
  status.problem = "\x1b[2J";
  const TopModel model = model_of({status}, {status});
  TopScreen screen;
  screen.selected = "alice";
  screen.open = true;
  const auto picture = draw_top(model, screen, 80, 24, 0);
  CHECK(whole(picture).find("/\\x1b]0;owned") != std::string::npos);
  CHECK(whole(picture).find("     5ms   3.0M ") != std::string::npos);
  for (const auto &line : picture)
    for (const char c : line.text) CHECK((c >= 0x20 && c < 0x7f));
}

TEST_CASE("top: keys, in pieces and unknown ones") {
  std::string input = "k\x1b[A\x1b[6~\r\x7f\x1b[99;5~q\x1b";
  const auto keys = parse_keys(input);
  REQUIRE(keys.size() == 7);
  CHECK(keys[0].character == 'k');
  CHECK(keys[1].key == Key::kUp);
  CHECK(keys[2].key == Key::kPageDown);
  CHECK(keys[3].key == Key::kEnter);
  CHECK(keys[4].key == Key::kBackspace);
  CHECK(keys[5].character == 'q');
  CHECK(keys[6].key == Key::kEscape);
  CHECK(input.empty());
  input = "\x1b[";
  CHECK(parse_keys(input).empty());
  input += "B";
  REQUIRE(parse_keys(input).size() == 1);
  CHECK(input.empty());
  input = "\x1b[" + std::string(1000, ';');
  CHECK(parse_keys(input).empty());
  CHECK(input.empty());
}
