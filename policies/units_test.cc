#include "policies/units.h"

#include <catch2/catch.hpp>

#include "policies/diagnostic.h"

using namespace paddock::policies;
using std::chrono::milliseconds;

TEST_CASE("sizes") {
  CHECK(parse_bytes("0") == 0);
  CHECK(parse_bytes("512") == 512);
  CHECK(parse_bytes("64K") == 64U << 10);
  CHECK(parse_bytes("64M") == 64U << 20);
  CHECK(parse_bytes("1GiB") == 1U << 30);
  CHECK(parse_bytes("2T") == 2ULL << 40);
  for (const char *bad : {"", "M", "-1", "+1", " 1", "1 ", "1MB", "1m", "1.5G", "64 M", "0x10",
                          "18446744073709551616", "16777216T", "1MM"}) {
    INFO(bad);
    CHECK_FALSE(parse_bytes(bad).has_value());
  }
}

TEST_CASE("durations") {
  CHECK(parse_duration("0") == milliseconds(0));
  CHECK(parse_duration("500ms") == milliseconds(500));
  CHECK(parse_duration("30s") == milliseconds(30'000));
  CHECK(parse_duration("5m") == milliseconds(300'000));
  CHECK(parse_duration("1h30m") == milliseconds(5'400'000));
  CHECK(parse_duration("7d") == milliseconds(7LL * 86'400'000));
  for (const char *bad : {"", "s", "5", "-5s", "5 s", "5S", "1.5h", "30m1h", "1s1s", "5s3",
                          "99999999999999999d", "5sec", "18446744073709551615ms"}) {
    INFO(bad);
    CHECK_FALSE(parse_duration(bad).has_value());
  }
}

TEST_CASE("per cent") {
  CHECK(parse_percent("150%") == 150U);
  CHECK(parse_percent("0%") == 0U);
  for (const char *bad : {"", "%", "150", "1.5%", "-1%", "150 %", "4294967296%"}) {
    INFO(bad);
    CHECK_FALSE(parse_percent(bad).has_value());
  }
}

TEST_CASE("what is formatted reads back as the same figure") {
  for (const std::uint64_t bytes :
       {0ULL, 1ULL, 1023ULL, 1024ULL, 1536ULL, 64ULL << 20, 3ULL << 40, (1ULL << 40) + 1})
    CHECK(parse_bytes(format_bytes(bytes)) == bytes);
  CHECK(format_bytes(448ULL << 20) == "448M");
  for (const int ms : {0, 1, 999, 1000, 61'500, 3'600'000, 90'061'001})
    CHECK(parse_duration(format_duration(milliseconds(ms))) == milliseconds(ms));
  CHECK(format_duration(milliseconds(90'061'001)) == "1d1h1m1s1ms");
}

TEST_CASE("the nearest word") {
  const std::vector<std::string> keys = {"workers", "idle", "queue", "queue_time", "cpu"};
  CHECK(nearest_of("worker", keys) == "workers");
  CHECK(nearest_of("wrokers", keys) == "workers");
  CHECK(nearest_of("queuetime", keys) == "queue_time");
  CHECK(nearest_of("QUEUE", {"queue"}).empty());
  CHECK(nearest_of("cup", keys) == "cpu");
  CHECK(nearest_of("elephant", keys).empty());
  CHECK(nearest_of("", keys).empty());
  CHECK(nearest_of("xyz", {"cpu"}).empty());
  CHECK(nearest_of(std::string(100'000, 'w'), keys).empty());
}
