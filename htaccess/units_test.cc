#include <catch2/catch.hpp>

#include "htaccess/document.h"
#include "htaccess/ip_subnet.h"
#include "htaccess/lines.h"
#include "htaccess/regex.h"
#include "htaccess/server_facts.h"
#include "htaccess/wildcard.h"

using namespace paddock::htaccess;

TEST_CASE("Words") {
  std::string_view rest = "  a \"b c\"'d'  \\\\e \"\" f";
  for (const char *word : {"a", "b c", "d", "\\e", "", "f", ""}) CHECK(next_word(rest) == word);
  CHECK(rest.empty());
}

TEST_CASE("Line numbers are those of the last physical line") {
  LineReader lines("a\nb\\\nc\n\nd");
  const std::vector<std::pair<std::string, unsigned>> expected = {{"a", 1}, {"bc", 3}, {"", 4}, {"d", 5}};
  for (const auto &[text, number] : expected) {
    const auto line = lines.next();
    REQUIRE(line.ok());
    REQUIRE(line->has_value());
    CHECK(**line == text);
    CHECK(lines.number() == number);
  }
  CHECK_FALSE(lines.next()->has_value());
}

TEST_CASE("Wildcards") {
  struct Row {
    const char *pattern, *text;
    bool matches;
  };
  const Row rows[] = {
      {"", "", true},       {"*", "", true},       {"?", "", false},      {"a*b*c", "aXbYbZc", true},
      {"a*b", "ab", true},  {"a*b", "abc", false}, {"[a-c]", "b", true},  {"[!a-c]", "b", false},
      {"[]]", "]", true},   {"[", "[", true},      {"[a", "[a", true},    {"\\*", "*", true},
      {"\\*", "a", false},  {"\\", "\\", true},    {"[a-]", "-", true},   {"***", "abc", true},
      {"a\\", "a\\", true}, {"[[]", "[", true},    {"[c-a]", "b", false}, {"[\\]]", "]", true}};
  for (const Row &row : rows) {
    INFO(row.pattern << " " << row.text);
    CHECK(wildcard_match(row.pattern, row.text) == row.matches);
  }
  CHECK(wildcard_match("[A-C]x", "bX", {.ignore_case = true}));
  CHECK_FALSE(wildcard_match("*", "a/b", {.path = true}));
  CHECK_FALSE(wildcard_match("a?b", "a/b", {.path = true}));
  CHECK(wildcard_match("*/*", "a/b", {.path = true}));
  // Would take for ever if every star were tried anew.
  CHECK_FALSE(wildcard_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", std::string(4000, 'a')));
}

TEST_CASE("Subnets") {
  const auto in = [](const char *subnet, const char *address) {
    const auto parsed = IpSubnet::parse(subnet);
    const auto host = IpAddress::parse(address);
    REQUIRE(parsed);
    REQUIRE(host);
    return parsed->contains(*host);
  };
  CHECK(in("10.0.0.0/8", "10.255.1.2"));
  CHECK_FALSE(in("10.0.0.0/8", "11.0.0.1"));
  CHECK(in("10.1", "10.1.9.9"));
  CHECK_FALSE(in("10.1", "10.2.0.1"));
  CHECK(in("192.168.1.128/255.255.255.128", "192.168.1.200"));
  CHECK(in("0.0.0.0/0", "8.8.8.8"));
  CHECK(in("2001:db8::/33", "2001:db8:7fff::1"));
  CHECK_FALSE(in("2001:db8::/33", "2001:db8:8000::1"));
  CHECK_FALSE(in("10.0.0.0/8", "2001:db8::1"));
  CHECK(in("10.0.0.0/8", "::ffff:10.1.1.1"));
  for (const char *bad :
       {"", "x", "10.0.0.0/33", "10.0.0.0/", "10.1/8", "256.1", "10..1", "::/129", "::/255.0.0.0"}) {
    INFO(bad);
    CHECK_FALSE(IpSubnet::parse(bad));
  }
}

TEST_CASE("A pattern that backtracks without end is given up") {
  const auto regex = Regex::compile("^(a+)+$");
  REQUIRE(regex.ok());
  CHECK(regex->search(std::string(200, 'a') + "b") == Regex::Outcome::kLimit);
}

TEST_CASE("Groups of a pattern") {
  const auto regex = Regex::compile("(a)|(b)(c)?");
  REQUIRE(regex.ok());
  std::vector<std::string> groups;
  CHECK(regex->search("xb", &groups) == Regex::Outcome::kMatch);
  CHECK(groups == std::vector<std::string>{"b", "", "b", ""});
  CHECK_FALSE(Regex::compile("(").ok());
}

TEST_CASE("What is known of the server decides") {
  ServerFacts facts;
  CHECK(module_is_loaded(facts, "mod_php7.c") == Decision(true));
  CHECK(module_is_loaded(facts, "mod_php4.c") == Decision(false));
  CHECK(module_is_loaded(facts, "mod_rewrite.c") == Decision());
  facts.modules = {"mod_rewrite.c", "rewrite_module"};
  CHECK(module_is_loaded(facts, "mod_rewrite.c") == Decision(true));
  CHECK(module_is_loaded(facts, "mod_headers.c") == Decision(false));
  CHECK(module_is_loaded(facts, "mod_php.c") == Decision(true));

  CHECK(*version_matches(facts, ">= 2.4>") == Decision(true));
  CHECK(*version_matches(facts, "> 2.4.10>") == Decision());
  CHECK(*version_matches(facts, "~ \"^2.4\">") == Decision());
  facts.version.patch = 62;
  CHECK(*version_matches(facts, "> 2.4.10>") == Decision(true));
  CHECK(*version_matches(facts, "!>= 2.4.62>") == Decision(false));
  CHECK(*version_matches(facts, "2.4.62>") == Decision(true));
  CHECK_FALSE(version_matches(facts, ">").ok());
  CHECK_FALSE(version_matches(facts, ">= 2.4").ok());

  facts.defines = {{"HERE", "x y"}};
  bool unknown = false;
  CHECK(resolve_defines(facts, "a ${HERE}${", unknown) == "a x y${");
  CHECK_FALSE(unknown);
  const auto document =
      parse_document("<IfDefine HERE>\nphp_value a \"${HERE}\"\n</IfDefine>\n", "/.htaccess", facts);
  REQUIRE(document.ok());
  CHECK(document->configuration.values.find("a")->value == "x y");
}

TEST_CASE("A list of settings keeps its order and finds its names, long or short") {
  SettingList list;
  for (int i = 0; i < 100; ++i) list.set("n" + std::to_string(i), "a");
  for (int i = 0; i < 100; ++i) list.set("n" + std::to_string(i), std::to_string(i));
  REQUIRE(list.items().size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(list.items()[static_cast<std::size_t>(i)].value == std::to_string(i));
  SettingList copy = list;
  copy.set("n3", "changed");
  CHECK(list.find("n3")->value == "3");
  CHECK(copy.find("n3")->value == "changed");
  CHECK(list.find("n100") == nullptr);
}
