#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "protocols/fastcgi/figures.h"
#include "protocols/fastcgi/params.h"
#include "protocols/fastcgi/record.h"
#include "protocols/fastcgi/request_assembler.h"
#include "protocols/fastcgi/settings.h"

using namespace paddock::fastcgi;
using Event = RequestAssembler::Event;

namespace {

std::span<const std::uint8_t> bytes_of(const std::string &text) {
  return {reinterpret_cast<const std::uint8_t *>(text.data()), text.size()};
}
std::string text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

std::string params_of(const std::vector<std::pair<std::string, std::string>> &pairs) {
  std::string out;
  for (const auto &[name, value] : pairs) append_param(out, name, value);
  return out;
}

std::string request(const std::string &params, const std::string &body, std::uint8_t flags = 0,
                    std::uint16_t id = 1) {
  std::string out;
  append_begin_request(out, id, Role::kResponder, flags);
  if (!params.empty()) append_record(out, Type::kParams, id, params);
  append_record(out, Type::kParams, id, {});
  if (!body.empty()) append_record(out, Type::kStdin, id, body);
  append_record(out, Type::kStdin, id, {});
  return out;
}

struct Seen {
  std::vector<Event> events;  // kStdin only once in a row
  std::string body;
  std::string replies;
  std::string params;
  std::string error;
};

// Feeds `input` in pieces of `piece` bytes until it is used up or the connection is broken.
Seen feed(RequestAssembler &assembler, const std::string &input, std::size_t piece) {
  Seen seen;
  for (std::size_t at = 0; at < input.size(); at += piece) {
    const std::string part = input.substr(at, piece);
    auto rest = bytes_of(part);
    for (Event event = assembler.next(rest); event != Event::kNeedMore; event = assembler.next(rest)) {
      if (event != Event::kStdin || seen.events.empty() || seen.events.back() != Event::kStdin)
        seen.events.push_back(event);
      if (event == Event::kStdin) seen.body += text_of(assembler.data());
      if (event == Event::kReply || event == Event::kRefused) seen.replies += text_of(assembler.data());
      if (event == Event::kParamsComplete) seen.params = text_of(assembler.params());
      if (event == Event::kError) {
        seen.error = assembler.error();
        return seen;
      }
    }
  }
  return seen;
}

Seen feed(const std::string &input, const Limits &limits = {}) {
  RequestAssembler assembler(limits);
  return feed(assembler, input, input.size());
}

}  // namespace

TEST_CASE("a header survives format and parse") {
  const HeaderBytes bytes = format_header(Type::kStdout, 0xabcd, 0xfffe, 2);
  const Header header = parse_header(bytes);
  CHECK(header.version == 1);
  CHECK(header.type == 6);
  CHECK(header.request_id == 0xabcd);
  CHECK(header.content_length == 0xfffe);
  CHECK(header.padding_length == 2);
}

TEST_CASE("END_REQUEST and UNKNOWN_TYPE have the bytes of the specification") {
  const auto end = format_end_request(0x0102, ProtocolStatus::kUnknownRole, 0x03040506);
  CHECK(std::vector<int>(end.begin(), end.end()) ==
        std::vector<int>{1, 3, 1, 2, 0, 8, 0, 0, 3, 4, 5, 6, 3, 0, 0, 0});
  const auto unknown = format_unknown_type(99);
  CHECK(std::vector<int>(unknown.begin(), unknown.end()) ==
        std::vector<int>{1, 11, 0, 0, 0, 8, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("settings of the web server come beside the params, whole or in pieces") {
  std::string content;
  append_setting(content, {"memory_limit", "64M", true, false});
  append_setting(content, {"a", std::string(70'000, 'v'), false, true});
  std::string input;
  append_begin_request(input, 1, Role::kResponder, 0);
  append_settings_records(input, 1, content);
  append_record(input, Type::kParams, 1, "");
  append_record(input, Type::kStdin, 1, "");
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, input.size()}) {
    RequestAssembler assembler;
    const Seen seen = feed(assembler, input, piece);
    CHECK(seen.replies.empty());
    CHECK(seen.events == std::vector{Event::kParamsComplete, Event::kStdinEnd});
    REQUIRE(assembler.has_settings());
    SettingsDecoder decoder(assembler.settings());
    Setting setting;
    REQUIRE(decoder.next(setting));
    CHECK((setting.name == "memory_limit" && setting.value == "64M" && setting.admin && !setting.htaccess));
    REQUIRE(decoder.next(setting));
    CHECK((setting.name == "a" && setting.value.size() == 70'000 && !setting.admin && setting.htaccess));
    CHECK_FALSE(decoder.next(setting));
    CHECK_FALSE(decoder.malformed());
  }
}

TEST_CASE("a request without settings has none, and empty ones are some") {
  std::string input;
  append_begin_request(input, 1, Role::kResponder, 0);
  std::string with = input;
  append_settings_records(with, 1, "");
  for (std::string *of : {&input, &with}) {
    append_record(*of, Type::kParams, 1, "");
    append_record(*of, Type::kStdin, 1, "");
  }
  RequestAssembler assembler;
  feed(assembler, with, with.size());
  CHECK(assembler.has_settings());
  assembler.finish_request();
  feed(assembler, input, input.size());
  CHECK_FALSE(assembler.has_settings());
}

TEST_CASE("settings that come late, are too many, or malformed") {
  std::string input;
  append_begin_request(input, 1, Role::kResponder, 0);
  append_record(input, Type::kParams, 1, "");
  append_settings_records(input, 1, "x");
  CHECK(feed(input).error == "settings after the end of the params");

  Limits limits;
  limits.settings_bytes = 100;
  std::string many;
  append_begin_request(many, 1, Role::kResponder, 0);
  append_settings_records(many, 1, std::string(101, 'x'));
  CHECK(feed(many, limits).error == "settings are longer than the limit");

  for (const std::string_view name : {"", "0", "9x", "x"}) {
    std::string content;
    append_param(content, name, "value");
    SettingsDecoder decoder(bytes_of(content));
    Setting setting;
    CHECK_FALSE(decoder.next(setting));
    CHECK(decoder.malformed());
  }
}

TEST_CASE("padding makes records multiples of eight") {
  CHECK(padding_for(0) == 0);
  CHECK(padding_for(1) == 7);
  CHECK(padding_for(8) == 0);
  CHECK(padding_for(kMaxAlignedContent) == 0);
}

TEST_CASE("content longer than a record becomes several records") {
  const std::string content(200'000, 'x');
  std::string wire;
  append_record(wire, Type::kStdout, 7, content);
  RecordReader reader;
  auto rest = bytes_of(wire);
  Fragment fragment;
  std::string got;
  int records = 0;
  while (reader.next(rest, fragment)) {
    CHECK(fragment.header.request_id == 7);
    if (fragment.first) ++records;
    got += text_of(fragment.content);
  }
  CHECK(records == 4);
  CHECK(got == content);
  CHECK(reader.at_boundary());
}

TEST_CASE("params: short and long lengths, empty names and values") {
  const std::string long_value(100'000, 'v');
  const std::string wire =
      params_of({{"A", "1"}, {"", ""}, {std::string(127, 'n'), std::string(128, 'm')}, {"L", long_value}});
  ParamsDecoder decoder(bytes_of(wire));
  std::string_view name;
  std::string_view value;
  REQUIRE(decoder.next(name, value));
  CHECK(name == "A");
  CHECK(value == "1");
  REQUIRE(decoder.next(name, value));
  CHECK(name.empty());
  REQUIRE(decoder.next(name, value));
  CHECK(name.size() == 127);
  CHECK(value.size() == 128);
  REQUIRE(decoder.next(name, value));
  CHECK(value == long_value);
  CHECK_FALSE(decoder.next(name, value));
  CHECK_FALSE(decoder.malformed());
}

TEST_CASE("params: a length that lies is malformed, wherever it is cut") {
  const std::string wire = params_of({{"NAME", std::string(300, 'v')}});
  for (std::size_t size = 1; size < wire.size(); ++size) {
    const std::string cut = wire.substr(0, size);
    ParamsDecoder decoder(bytes_of(cut));
    std::string_view name;
    std::string_view value;
    CHECK_FALSE(decoder.next(name, value));
    CHECK(decoder.malformed());
  }
  const std::string huge = "\xff\xff\xff\xff\xff\xff\xff\xff";
  ParamsDecoder decoder(bytes_of(huge));
  std::string_view name;
  std::string_view value;
  CHECK_FALSE(decoder.next(name, value));
  CHECK(decoder.malformed());
}

TEST_CASE("a request comes out the same wherever the reads cut it") {
  const std::string params = params_of({{"REQUEST_METHOD", "POST"}, {"SCRIPT_FILENAME", "/srv/a.php"}});
  const std::string wire = request(params, "some body", kKeepConnection);
  for (std::size_t piece = 1; piece <= wire.size(); ++piece) {
    RequestAssembler assembler;
    const Seen seen = feed(assembler, wire, piece);
    CHECK(seen.events == std::vector<Event>{Event::kParamsComplete, Event::kStdin, Event::kStdinEnd});
    CHECK(seen.params == params);
    CHECK(seen.body == "some body");
    CHECK(assembler.keep_connection());
    CHECK(assembler.request_id() == 1);
    CHECK(assembler.stdin_ended());
  }
}

TEST_CASE("two requests follow each other on a kept connection") {
  RequestAssembler assembler;
  CHECK(feed(assembler, request("", "first", kKeepConnection, 1), 4096).body == "first");
  assembler.finish_request();
  CHECK(assembler.idle());
  const Seen second = feed(assembler, request("", "second", 0, 2), 4096);
  CHECK(second.body == "second");
  CHECK(assembler.request_id() == 2);
  CHECK_FALSE(assembler.keep_connection());
}

TEST_CASE("records of a finished request are ignored") {
  RequestAssembler assembler;
  std::string wire;
  append_begin_request(wire, 1, Role::kResponder, kKeepConnection);
  append_record(wire, Type::kParams, 1, {});
  CHECK(feed(assembler, wire, 4096).events == std::vector<Event>{Event::kParamsComplete});
  assembler.finish_request();
  std::string late;
  append_record(late, Type::kStdin, 1, "late");
  append_record(late, Type::kStdin, 1, {});
  CHECK(feed(assembler, late, 3).events.empty());
  CHECK(feed(assembler, request("", "next", 0, 1), 4096).body == "next");
}

TEST_CASE("another role is refused with FCGI_UNKNOWN_ROLE") {
  std::string wire;
  append_begin_request(wire, 3, Role::kAuthorizer, kKeepConnection);
  RequestAssembler assembler;
  const Seen seen = feed(assembler, wire, 5);
  CHECK(seen.events == std::vector<Event>{Event::kRefused});
  const auto expected = format_end_request(3, ProtocolStatus::kUnknownRole);
  CHECK(seen.replies == text_of(expected));
  CHECK(assembler.keep_connection());
  CHECK(feed(assembler, request("", "b"), 4096).body == "b");
}

TEST_CASE("a second request in between is refused with FCGI_CANT_MPX_CONN") {
  std::string wire;
  append_begin_request(wire, 1, Role::kResponder, 0);
  append_begin_request(wire, 2, Role::kResponder, 0);
  append_record(wire, Type::kParams, 2,
                "\x01\x01"
                "AB");
  append_record(wire, Type::kParams, 1, {});
  const Seen seen = feed(wire);
  CHECK(seen.events == std::vector<Event>{Event::kReply, Event::kParamsComplete});
  CHECK(seen.replies == text_of(format_end_request(2, ProtocolStatus::kCantMultiplex)));
  CHECK(seen.params.empty());
}

TEST_CASE("an unknown type is answered with UNKNOWN_TYPE, content and all") {
  const auto type = GENERATE(as<std::uint8_t>{}, 0, 11, 12, 200, 255);
  const auto id = GENERATE(as<std::uint16_t>{}, 0, 5);
  std::string wire;
  append_record(wire, static_cast<Type>(type), id, "whatever it says");
  RequestAssembler assembler;
  const Seen seen = feed(assembler, wire + request("", "b"), 7);
  CHECK(seen.replies == text_of(format_unknown_type(type)));
  CHECK(seen.body == "b");
}

TEST_CASE("GET_VALUES is answered, in whatever pieces it comes") {
  std::string wire;
  append_record(wire, Type::kGetValues, 0,
                params_of({{"FCGI_MAX_CONNS", ""}, {"NO_SUCH", ""}, {"FCGI_MPXS_CONNS", ""}}));
  std::string expected;
  append_record(expected, Type::kGetValuesResult, 0,
                params_of({{"FCGI_MAX_CONNS", "17"}, {"FCGI_MPXS_CONNS", "0"}}));
  for (std::size_t piece = 1; piece <= wire.size(); ++piece) {
    RequestAssembler assembler({}, {17, 0});
    const Seen seen = feed(assembler, wire, piece);
    CHECK(seen.events == std::vector<Event>{Event::kReply});
    CHECK(seen.replies == expected);
  }
}

TEST_CASE("ABORT_REQUEST is told, before and after the params") {
  std::string wire;
  append_begin_request(wire, 1, Role::kResponder, 0);
  append_record(wire, Type::kAbortRequest, 1, {});
  CHECK(feed(wire).events == std::vector<Event>{Event::kAbort});
}

TEST_CASE("what breaks the protocol is an error that says what") {
  const auto error_of = [](const std::string &wire, const Limits &limits = {}) {
    return feed(wire, limits).error;
  };
  std::string begin;
  append_begin_request(begin, 1, Role::kResponder, 0);

  SECTION("another version") {
    CHECK(error_of(std::string("\2\1\0\1\0\0\0\0", 8)) == "a record of another version than 1");
    CHECK(error_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(65535, 'x')) ==
          "a record of another version than 1");
  }
  SECTION("BEGIN_REQUEST of another size") {
    std::string wire;
    append_record(wire, Type::kBeginRequest, 1, "abc");
    CHECK(error_of(wire) == "BEGIN_REQUEST has not 8 bytes of content");
  }
  SECTION("BEGIN_REQUEST twice") {
    CHECK(error_of(begin + begin) == "BEGIN_REQUEST for a request that has already begun");
  }
  SECTION("STDIN too early") {
    append_record(begin, Type::kStdin, 1, "x");
    CHECK(error_of(begin) == "STDIN before the end of the params");
  }
  SECTION("STDIN too late") {
    std::string wire = request("", "");
    append_record(wire, Type::kStdin, 1, "x");
    CHECK(error_of(wire) == "STDIN after its end");
  }
  SECTION("PARAMS too late") {
    append_record(begin, Type::kParams, 1, {});
    append_record(begin, Type::kParams, 1, params_of({{"A", "B"}}));
    CHECK(error_of(begin) == "PARAMS after the end of the params");
  }
  SECTION("params that lie") {
    append_record(begin, Type::kParams, 1,
                  "\x05\x05"
                  "AB");
    append_record(begin, Type::kParams, 1, {});
    CHECK(error_of(begin) == "a param's length goes past the end of the params");
  }
  SECTION("params over the limits") {
    Limits limits;
    limits.params_bytes = 1000;
    CHECK(error_of(request(std::string(1001, '\0'), ""), limits) == "params are longer than the limit");
    limits.params_count = 499;
    CHECK(error_of(request(std::string(1000, '\0'), ""), limits) == "more params than the limit");
    limits.params_count = 500;
    CHECK(error_of(request(std::string(1000, '\0'), ""), limits).empty());
  }
  SECTION("endless foreign records") {
    std::string wire;
    for (int i = 0; i < 65; ++i) append_record(wire, Type::kGetValues, 0, {});
    CHECK(error_of(wire) == "too many records that belong to no request");
  }
  SECTION("after an error nothing is read any more") {
    RequestAssembler assembler;
    feed(assembler, begin + begin, 4096);
    CHECK(feed(assembler, request("", "x", 0, 9), 4096).events == std::vector<Event>{Event::kError});
    assembler.reset();
    CHECK(feed(assembler, request("", "x", 0, 9), 4096).body == "x");
  }
}

TEST_CASE("figures are one record") {
  const Figures sent{1, 0x0102030405060708, 3, std::uint64_t{1} << 63, 5};
  const auto record = format_figures(7, sent);
  RecordReader reader;
  std::span<const std::uint8_t> input = record;
  Fragment fragment;
  REQUIRE(reader.next(input, fragment));
  CHECK((fragment.first && fragment.last && fragment.header.type == kFigures &&
         fragment.header.request_id == 7));
  const auto received = parse_figures(fragment.content);
  REQUIRE(received);
  CHECK((received->begun_ns == 1 && received->ended_ns == sent.ended_ns && received->cpu_ns == 3 &&
         received->peak_memory == sent.peak_memory && received->compiled == 5));
  CHECK_FALSE(parse_figures(fragment.content.first(39)));
  CHECK_FALSE(parse_figures({}));
}
