#include "sendmail/arguments.h"

#include <catch2/catch.hpp>

using paddock::sendmail::parse_arguments;
using Words = std::vector<std::string>;

TEST_CASE("arguments that submit a message") {
  const auto php = parse_arguments({"-t", "-i", "-f", "s@t"}).value();
  CHECK(php.from_headers);
  CHECK(php.ignore_dots);
  CHECK(php.sender == "s@t");
  CHECK(php.recipients.empty());
  const auto together = parse_arguments({"-ti", "-fs@t"}).value();
  CHECK((together.from_headers && together.ignore_dots && together.sender == "s@t"));
  const auto plain = parse_arguments({"-oi", "-oem", "-F", "Full Name", "-B8BITMIME", "a@b", "c@d"}).value();
  CHECK((plain.ignore_dots && !plain.from_headers));
  CHECK(plain.recipients == Words{"a@b", "c@d"});
  CHECK(parse_arguments({"-r", "<s@t>", "--", "-a@b"}).value().sender == "s@t");
  CHECK(parse_arguments({"-f", "<>"}).value().sender.empty());
  CHECK(parse_arguments({"--", "-t"}).value().recipients == Words{"-t"});
  CHECK_FALSE(parse_arguments({"-em", "a@b"}).value().ignore_dots);
  CHECK(parse_arguments({}).value().recipients.empty());
}

TEST_CASE("other modes of a sendmail are refused") {
  for (const char *option : {"-bs", "-bd", "-bp", "-bi", "-bv", "-bt", "-bm2", "-C/etc/x", "-q", "-q1h",
                             "-X/tmp/log", "-p", "-L", "-tC/etc/x", "-Ac", "-D", "--help", "-f"})
    CHECK_FALSE(parse_arguments({option}).ok());
  CHECK_FALSE(parse_arguments({"-C", "/etc/passwd", "-t"}).ok());
}
