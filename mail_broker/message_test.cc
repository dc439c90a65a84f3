#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <string>

#include "base/file.h"
#include "mail_broker/address_list.h"
#include "mail_broker/submission.h"
#include "protocols/mail/address.h"

using namespace paddock;
using mail_broker::addresses_in;
using mail_broker::Submission;
using Addresses = std::vector<std::string>;

namespace {

constexpr const char *kNotSent = "?";

struct Outcome {
  mail::Status status = mail::Status::kSent;
  std::string text;  // the message as an MTA gets it, or why not
  Addresses recipients;
  std::string sender;
};

Packet packet_of(std::vector<std::uint8_t> bytes) {
  return {std::move(bytes), {}};
}

Outcome submit(const std::string &message, mail::Begin begin = {true, {}, {}}, std::size_t part = 7,
               mail_broker::Terms terms = {"alice", 1 << 20, 5, true}) {
  Submission submission(std::move(terms), UniqueFd(::memfd_create("test", MFD_CLOEXEC)));
  std::vector<Packet> packets;
  packets.push_back(packet_of(wire::encode(begin)));
  for (std::size_t at = 0; at < message.size(); at += part)
    packets.push_back(packet_of(wire::encode(mail::Part{message.substr(at, part)})));
  packets.push_back(packet_of(wire::encode(mail::End{})));
  bool whole = false;
  for (const auto &packet : packets) {
    const auto progress = submission.take(packet);
    if (const auto *refusal = std::get_if<Submission::Refusal>(&progress))
      return {refusal->status, refusal->text, {}, {}};
    whole = std::get<bool>(progress);
  }
  REQUIRE(whole);
  return {mail::Status::kSent, read_all(submission.file(), 4 << 20).value(), submission.recipients(),
          submission.sender()};
}

}  // namespace

TEST_CASE("addresses that can stand among an MTA's arguments") {
  for (const char *good : {"a@b", "root", "a.b+c@example.org", "o'neil@x-y.example", "a=b@c", "a@[192.0.2.1]",
                           "a@[IPv6:2001:db8::1]", "user%host@relay", "a!b"})
    CHECK(mail::is_plain_address(good));
  for (const char *bad :
       {"",      "@b",    "-f@b", "-C/etc/passwd", "|/bin/sh", "/etc/passwd", ":include:/x",    ".a@b",
        "a@",    "a@-b",  "a@.b", "a@b c",         "a b@c",    "a@b,c@d",     "a@b\nc",         "\"a\"@b",
        "a\\@b", "a@b@c", "a@b>", "<a@b",          "a(x)@b",   "a@[]",        "m\xc3\xbcller@b"})
    CHECK_FALSE(mail::is_plain_address(bad));
  CHECK_FALSE(mail::is_plain_address(std::string("a\0b", 3)));
  CHECK(mail::is_plain_address(std::string(250, 'a') + "@b.c"));
  CHECK_FALSE(mail::is_plain_address(std::string(251, 'a') + "@b.c"));
}

TEST_CASE("lists of addresses") {
  const auto list = [](const char *text) { return addresses_in(text).value(); };
  CHECK(list(" a@b") == Addresses{"a@b"});
  CHECK(list("a@b, c@d,\n e@f") == Addresses{"a@b", "c@d", "e@f"});
  CHECK(list("A B <a@b>, \"C, D; <x@y>\" <c@d>") == Addresses{"a@b", "c@d"});
  CHECK(list("a@b (work, (nested) \\) x@y), (c) c@d") == Addresses{"a@b", "c@d"});
  CHECK(list("friends: a@b, C <c@d>; e@f") == Addresses{"a@b", "c@d", "e@f"});
  CHECK(list("undisclosed-recipients:;").empty());
  CHECK(list(" , ,").empty());
  CHECK(list("=?UTF-8?Q?J=C3=B6rg?= <j@x>") == Addresses{"j@x"});
  CHECK(list("a@[IPv6:2001:db8::1]") == Addresses{"a@[IPv6:2001:db8::1]"});
  for (const char *bad : {"a@b c@d", "<a@b", "a@b>", "<a@b> <c@d>", "<a@b> x", "(a@b", "\"a@b", "\"a b\"@c",
                          "<@x:a@b>", "<>", "-C/etc/x@y", "|sh", "\"a\""})
    CHECK_FALSE(addresses_in(bad).ok());
}

TEST_CASE("a message as PHP's mail() writes it") {
  const auto sent = submit(
      "To: A <a@b>, c@d\r\nSubject: Hello\r\nX-PHP-Originating-Script: 1000:a.php\r\n"
      "Bcc: e@f\r\nX-PHP-Originating-Script: 0:forged.php\r\nX-Paddock-Tenant: bob\r\n\r\nline\r\n.\r\nend");
  CHECK(sent.recipients == Addresses{"a@b", "c@d", "e@f"});
  CHECK(sent.text ==
        "X-Paddock-Tenant: alice\nTo: A <a@b>, c@d\nSubject: Hello\nX-PHP-Originating-Script: 1000:a.php\n\n"
        "line\n.\nend");
}

TEST_CASE("where the header ends, and how lines end") {
  CHECK(submit("To: a@b\n\n").text == "X-Paddock-Tenant: alice\nTo: a@b\n\n");
  CHECK(submit("To: a@b").text == "X-Paddock-Tenant: alice\nTo: a@b\n\n");
  CHECK(submit("To:\n a@b,\n\tc@d\nno field\nx").text ==
        "X-Paddock-Tenant: alice\nTo:\n a@b,\n\tc@d\n\nno field\nx");
  CHECK(submit("From root Mon\nTo: a@b\n\nx").text == "X-Paddock-Tenant: alice\nTo: a@b\n\nx");
  CHECK(submit("To: a@b\n\na\rb\r\r\nc\r").text == "X-Paddock-Tenant: alice\nTo: a@b\n\na\nb\n\nc\n");
  // Without -t the headers name nobody.
  const auto named = submit("To: a@b\nBcc: c@d\n\nx", {false, "s@t", {"e@f", "e@f"}});
  CHECK(named.recipients == Addresses{"e@f"});
  CHECK(named.sender == "s@t");
  CHECK(named.text == "X-Paddock-Tenant: alice\nTo: a@b\n\nx");
}

TEST_CASE("messages that are refused") {
  using mail::Status;
  const auto status = [](const std::string &message, mail::Begin begin = {true, {}, {}}) {
    return submit(message, std::move(begin)).status;
  };
  CHECK(status("") == Status::kData);
  CHECK(status("Subject: x\n\nx") == Status::kData);
  CHECK(status("To: a@b\n\nx", {false, {}, {}}) == Status::kData);
  CHECK(status("To: a@b\rBcc: c@d\n\nx") == Status::kData);
  CHECK(status(std::string("To: a@b\n\nx\0y", 12)) == Status::kData);
  CHECK(status(std::string("To: a\0@b\n\n", 10)) == Status::kData);
  CHECK(status("To: |/bin/sh\n\nx") == Status::kData);
  CHECK(status("To: a@b\n\nx", {true, "-C/etc/passwd", {}}) == Status::kUsage);
  CHECK(status("To: a@b\n\nx", {true, {}, {"-oQ/tmp"}}) == Status::kUsage);
  CHECK(status("To: a@b,b@b,c@b,d@b,e@b\n\n", {true, {}, {"f@b"}}) == Status::kRefused);
  CHECK(status("To: a@b,b@b,c@b,d@b,e@b\n\n", {true, {}, {"a@b"}}) == Status::kSent);
  CHECK(submit("To: a@b\n\n" + std::string(1 << 20, 'x'), {true, {}, {}}, 30000).status == Status::kRefused);
  CHECK(submit("To: a@b\n\n" + std::string((1 << 20) - 9, 'x'), {true, {}, {}}, 30000).status ==
        Status::kSent);
  CHECK(submit(std::string(300'000, 'x'), {true, {}, {}}, 30000).status == Status::kData);
  CHECK(submit("X: y\n" + std::string(300'000, ' ') + "\n", {true, {}, {}}, 30000).status == Status::kData);
  // A plan that allows no sender but the account.
  CHECK(submit("To: a@b\n\nx", {true, "s@t", {}}, 7, {"alice", 1 << 20, 5, false}).sender.empty());
}

TEST_CASE("packets out of order") {
  const auto first = [](const Packet &packet) {
    Submission submission({"alice", 100, 5, true}, UniqueFd(::memfd_create("test", MFD_CLOEXEC)));
    const auto progress = submission.take(packet);
    const auto *refusal = std::get_if<Submission::Refusal>(&progress);
    return refusal == nullptr ? kNotSent : refusal->text;
  };
  CHECK(first(packet_of(wire::encode(mail::End{}))) != kNotSent);
  CHECK(first(packet_of(wire::encode(mail::Part{"x"}))) != kNotSent);
  CHECK(first(packet_of({})) != kNotSent);
  CHECK(first(packet_of(wire::encode(mail::Begin{}))) == kNotSent);
}
