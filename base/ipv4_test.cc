#include "base/ipv4.h"

#include <catch2/catch.hpp>

using namespace paddock;

TEST_CASE("IPv4 addresses and ranges are read as they are written") {
  CHECK(parse_ipv4("192.0.2.1") == 0xC0000201);
  for (const char *text : {"", "192.0.2", "192.0.2.256", "192.0.2.1 ", "::1", "0x7f.0.0.1"})
    CHECK_FALSE(parse_ipv4(text));
  CHECK(format_ipv4(0xC0000201) == "192.0.2.1");
  for (const char *text : {"10.213.0.0/16", "192.0.2.7", "0.0.0.0/0"})
    CHECK(Ipv4Range::parse(text).value().to_string() == text);
  for (const char *text :
       {"10.213.0.1/16", "10.213.0.0/33", "10.213.0.0/", "10.213.0.0/-1", "10.213.0.0/8/8"})
    CHECK_FALSE(Ipv4Range::parse(text));
}

TEST_CASE("ranges overlap where they share an address") {
  const auto range = [](const char *text) { return Ipv4Range::parse(text).value(); };
  CHECK(range("10.0.0.0/8").overlaps(range("10.213.0.0/16")));
  CHECK(range("10.213.0.0/16").overlaps(range("10.0.0.0/8")));
  CHECK_FALSE(range("10.213.0.0/16").overlaps(range("10.214.0.0/16")));
  CHECK(range("0.0.0.0/0").overlaps(range("255.255.255.255")));
  CHECK(range("10.213.0.0/16").contains(0x0AD5FFFF));
  CHECK_FALSE(range("10.213.0.0/16").contains(0x0AD60000));
  CHECK(range("10.213.0.0/16").size() == 65'536);
}

TEST_CASE("endpoints are ranges with or without a port") {
  for (const char *text : {"192.0.2.0/24", "192.0.2.7:443", "192.0.2.0/24:53/udp"})
    CHECK(Ipv4Endpoint::parse(text).value().to_string() == text);
  CHECK(Ipv4Endpoint::parse("192.0.2.7:443/tcp") == Ipv4Endpoint::parse("192.0.2.7:443"));
  for (const char *text :
       {"192.0.2.7:", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:1/sctp", ":80", "name:80"})
    CHECK_FALSE(Ipv4Endpoint::parse(text));
}
