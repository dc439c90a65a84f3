#include "cli/text.h"

#include <stdlib.h>
#include <time.h>

#include <catch2/catch.hpp>

using namespace paddock::cli;
using std::chrono::milliseconds;

TEST_CASE("what is printed cannot drive a terminal") {
  CHECK(printable("/wiki/index.php?a=1 b") == "/wiki/index.php?a=1 b");
  CHECK(printable("") == "\"\"");
  CHECK(printable("a\x1b]0;owned\x07") == "\"a\\x1b]0;owned\\x07\"");
  CHECK(printable("a\nb") == "\"a\\x0ab\"");
  CHECK(printable("\xc2\x9b") == "\"\\xc2\\x9b\"");
  CHECK(printable(" x") == "\" x\"");
  CHECK(printable("abcdef", 3).substr(0, 5) == "\"abc\"");
}

TEST_CASE("tables are aligned, and no cell is missing") {
  CHECK(table({{"A", "LONG", "C"}, {"wide", "", "x y"}, {"", "1", ""}}) ==
        "A     LONG  C\n"
        "wide  -     x y\n"
        "-     1     -\n");
}

TEST_CASE("sizes and durations for people") {
  CHECK(size_text(0) == "0B");
  CHECK(size_text(1023) == "1023B");
  CHECK(size_text(1536) == "1.5K");
  CHECK(size_text(47'513'600) == "45.3M");
  CHECK(size_text(300ULL << 20) == "300M");
  CHECK(size_text(~0ULL) == "16777216T");
  CHECK(duration_text(milliseconds(0)) == "0");
  CHECK(duration_text(milliseconds(63)) == "63ms");
  CHECK(duration_text(milliseconds(1'500)) == "1s500ms");
  CHECK(duration_text(milliseconds(61'999)) == "1m1s");
  CHECK(duration_text(milliseconds(7'530'000)) == "2h5m");
  CHECK(duration_text(milliseconds(93'600'000)) == "1d2h");
}

TEST_CASE("times") {
  const std::int64_t now = 1'700'000'000;
  CHECK(parse_time("2h", now) == now + 7200);
  CHECK(parse_time("2026-01-31T18:00Z", now) == 1'769'882'400);
  CHECK(parse_time("2026-01-31 18:00:01Z", now) == 1'769'882'401);
  for (const char *text : {"2026-01-31", "2026-01-31 00:00", "2026-01-31T00:00:00"}) {
    tm parts{};
    parts.tm_year = 126;
    parts.tm_mday = 31;
    parts.tm_isdst = -1;
    CHECK(parse_time(text, now) == ::mktime(&parts));
  }
  for (const char *bad :
       {"", "tomorrow", "2026-13-01", "2026-01-31T25:00", "2026-01-31 18:00 please", "2 h", "31.1.2026"}) {
    INFO(bad);
    CHECK_FALSE(parse_time(bad, now).has_value());
  }
  const auto again = parse_time(time_text(now).substr(0, 19), 0);
  CHECK(again == now);
}

TEST_CASE("times that have been") {
  const std::int64_t now = 1'700'000'000;
  CHECK(parse_past("24h", now) == now - 86'400);
  CHECK(parse_past("100000d", now) == 0);
  CHECK(parse_past("2023-01-31T18:00Z", now) == 1'675'188'000);
  CHECK_FALSE(parse_past("2026-01-31T18:00Z", now).has_value());
  CHECK_FALSE(parse_past("yesterday", now).has_value());
}
