#include "fcgi_gateway/figures.h"

#include <catch2/catch.hpp>
#include <vector>

#include "base/latency_buckets.h"

using namespace paddock;
using namespace paddock::fcgi_gateway;
using namespace std::chrono_literals;
using Held = Figures::Held;

namespace {

struct Heard {
  EventLoop loop = *EventLoop::create();
  bool listens = true;
  std::vector<gateway_link::Refused> refused;
  std::vector<gateway_link::Waiting> waiting;
  // The interval never ends by itself here.
  Figures figures{loop,
                  1h,
                  {[this](const gateway_link::Refused &message) {
                     if (listens) refused.push_back(message);
                     return listens;
                   },
                   [this](const gateway_link::Waiting &message) {
                     if (listens) waiting.push_back(message);
                     return listens;
                   }}};
};

}  // namespace

TEST_CASE("refusals are told by reason, once") {
  Heard heard;
  for (int i = 0; i < 3; ++i) heard.figures.refused(1, "queue-full");
  heard.figures.refused(1, "body-size");
  heard.figures.refused(2, "blocked");
  heard.figures.report();
  REQUIRE(heard.refused.size() == 3);
  for (const auto &message : heard.refused)
    CHECK(message.requests == (message.reason == "queue-full" ? 3 : 1));
  heard.figures.report();
  CHECK(heard.refused.size() == 3);
  CHECK(heard.waiting.empty());
}

TEST_CASE("what is held is told when it has changed, and its end too") {
  Heard heard;
  heard.figures.hold(1, Held::kQueued, 1);
  heard.figures.hold(1, Held::kSlow, 1);
  heard.figures.hold(1, Held::kSlow, 1);
  heard.figures.hold(1, Held::kUnread, 1);
  heard.figures.report();
  REQUIRE(heard.waiting.size() == 1);
  CHECK(heard.waiting.back().queue == 1);
  CHECK(heard.waiting.back().slow == 2);
  CHECK(heard.waiting.back().unread == 1);
  heard.figures.report();
  CHECK(heard.waiting.size() == 1);
  heard.figures.hold(1, Held::kQueued, -1);
  heard.figures.hold(1, Held::kSlow, -2);
  heard.figures.hold(1, Held::kUnread, -1);
  heard.figures.waited(1, 1500us);
  heard.figures.report();
  REQUIRE(heard.waiting.size() == 2);
  CHECK(heard.waiting.back().queue + heard.waiting.back().slow + heard.waiting.back().unread == 0);
  CHECK(heard.waiting.back().queued == 1);
  CHECK(heard.waiting.back().queue_us == 1500);
  heard.figures.report();
  CHECK(heard.waiting.size() == 2);
}

TEST_CASE("what has not waited counts as no wait") {
  Heard heard;
  heard.figures.hold(1, Held::kQueued, 1);
  heard.figures.hold(1, Held::kQueued, -1);
  heard.figures.waited(1, 200us);
  heard.figures.report();
  CHECK(heard.waiting.empty());
}

TEST_CASE("figures add up while nobody takes them") {
  Heard heard;
  heard.listens = false;
  for (int i = 0; i < 5; ++i) {
    heard.figures.refused(1, "queue-time");
    heard.figures.waited(1, 2ms);
    heard.figures.report();
  }
  heard.listens = true;
  heard.figures.report();
  REQUIRE(heard.refused.size() == 1);
  CHECK(heard.refused.front().requests == 5);
  REQUIRE(heard.waiting.size() == 1);
  CHECK(heard.waiting.front().queued == 5);
  CHECK(heard.waiting.front().queue_us == 10'000);
  REQUIRE(heard.waiting.front().by_time.size() == kLatencyBuckets);
  CHECK(heard.waiting.front().by_time[0] == 5);
}
