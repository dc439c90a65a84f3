#include "fcgi_gateway/ledger.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>

using namespace paddock;
using namespace paddock::fcgi_gateway;
using Kind = Ledger::Kind;

namespace {

Kind kind_of(const Ledger &ledger, int fd) {
  return ledger.find(fd)->kind.load();
}

}  // namespace

TEST_CASE("an entry is there as long as what it stands for") {
  const auto ledger = Ledger::create(16);
  REQUIRE(ledger.ok());
  CHECK(ledger->end() == 0);
  {
    LedgerEntry entry(*ledger, BorrowedFd(7), "alice");
    CHECK(ledger->end() == 8);
    CHECK(kind_of(*ledger, 7) == Kind::kNothing);
    entry.is_request({3, -1, -1});
    CHECK(kind_of(*ledger, 7) == Kind::kRequest);
    CHECK(ledger->find(7)->files == Ledger::Files{3, -1, -1});
    CHECK(std::string(ledger->find(7)->tenant.data()) == "alice");
    entry.take_out();
    CHECK(kind_of(*ledger, 7) == Kind::kNothing);
    entry.keep();
    CHECK(kind_of(*ledger, 7) == Kind::kRequest);
    const LedgerEntry moved = std::move(entry);
    CHECK(kind_of(*ledger, 7) == Kind::kRequest);
  }
  CHECK(kind_of(*ledger, 7) == Kind::kNothing);
}

TEST_CASE("an answer's offset is the ledger's") {
  const auto ledger = Ledger::create(16);
  REQUIRE(ledger.ok());
  LedgerEntry entry(*ledger, BorrowedFd(2), "bob");
  entry.is_answer(5, 100, true);
  REQUIRE(entry.offset() != nullptr);
  *entry.offset() += 23;
  CHECK(ledger->find(2)->offset == 123);
  CHECK(ledger->find(2)->request_over);
}

TEST_CASE("what has no place is not kept") {
  const auto ledger = Ledger::create(16);
  REQUIRE(ledger.ok());
  for (const int fd : {-1, 16, 100'000}) {
    LedgerEntry entry(*ledger, BorrowedFd(fd), "alice");
    entry.is_request(Ledger::kNoFiles);
    CHECK(entry.offset() == nullptr);
  }
  LedgerEntry long_name(*ledger, BorrowedFd(1), std::string(64, 'x'));
  long_name.is_sandbox();
  LedgerEntry nowhere(Ledger(), BorrowedFd(1), "alice");
  nowhere.is_request(Ledger::kNoFiles);
  CHECK(ledger->end() == 0);
}
