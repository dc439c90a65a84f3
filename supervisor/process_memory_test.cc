#include "supervisor/process_memory.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>

using namespace paddock::supervisor;

TEST_CASE("a process's own number and memory are read") {
  const auto found = parse_own_memory(
      "Name:\tphp\nNStgid:\t4711\t12\nNSpid:\t4711\t12\nVmRSS:\t   4000 kB\nRssAnon:\t     2048 kB\n"
      "RssFile:\t 1 kB\n");
  REQUIRE(found.ok());
  CHECK(found->first == 12);
  CHECK(found->second == 2048 * 1024);
  CHECK(parse_own_memory("NSpid:\t7\nRssAnon:\t0 kB\n")->first == 7);
}

TEST_CASE("what is no process with memory is told from one") {
  for (const char *status :
       {"", "\n\n", "Name:\tkthreadd\nNSpid:\t2\n", "RssAnon:\t1 kB\n", "NSpid:\t\nRssAnon:\t1 kB\n",
        "NSpid:\t1\nRssAnon:\t\n", "NSpid:", "NSpid:\tx\nRssAnon:\ty kB\n"})
    CHECK_FALSE(parse_own_memory(status).ok());
  // The kernel writes a name's line break as two characters.
  CHECK_FALSE(parse_own_memory("Name:\tx\\nNSpid:\t1\\nRssAnon:\t5 kB\n").ok());
}

TEST_CASE("memory that this process takes is seen, and who has gone is left out") {
  const auto before = own_memory({::getpid(), 0x7fffffff}).at(::getpid());
  constexpr std::size_t kSize = 32 << 20;
  const std::unique_ptr<char[]> taken(new char[kSize]);
  std::memset(taken.get(), 1, kSize);
  const auto after = own_memory({::getpid()});
  REQUIRE(after.size() == 1);
  CHECK(after.at(::getpid()) >= before + kSize / 2);
  CHECK(taken[kSize - 1] == 1);
}
