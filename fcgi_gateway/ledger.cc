#include "fcgi_gateway/ledger.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace paddock::fcgi_gateway {

// The entries follow it.
struct alignas(Ledger::Entry) Ledger::Book {
  std::atomic<int> end;
};

Result<Ledger> Ledger::create(std::size_t descriptors) {
  const std::size_t size = sizeof(Book) + descriptors * sizeof(Entry);
  void *const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return errno_error("mmap for the ledger");
  Ledger ledger;
  ledger.book_ = static_cast<Book *>(memory);  // of zeros, which is an empty one
  ledger.descriptors_ = descriptors;
  return ledger;
}

Ledger::~Ledger() {
  close();
}

Ledger::Ledger(Ledger &&other) noexcept
    : book_(std::exchange(other.book_, nullptr)), descriptors_(std::exchange(other.descriptors_, 0)) {}

Ledger &Ledger::operator=(Ledger &&other) noexcept {
  std::swap(book_, other.book_);
  std::swap(descriptors_, other.descriptors_);
  return *this;
}

void Ledger::close() {
  if (book_ != nullptr) ::munmap(book_, sizeof(Book) + descriptors_ * sizeof(Entry));
  book_ = nullptr;
}

int Ledger::end() const {
  return book_ == nullptr ? 0 : book_->end.load(std::memory_order_acquire);
}

Ledger::Entry *Ledger::find(int fd) const {
  if (book_ == nullptr || fd < 0 || static_cast<std::size_t>(fd) >= descriptors_) return nullptr;
  if (fd >= end()) book_->end.store(fd + 1, std::memory_order_release);
  return reinterpret_cast<Entry *>(book_ + 1) + fd;
}

LedgerEntry::LedgerEntry(const Ledger &ledger, BorrowedFd fd, std::string_view tenant)
    : entry_(tenant.size() < Ledger::kNameSize ? ledger.find(fd.get()) : nullptr) {
  if (entry_ == nullptr) return;
  take_out();
  *std::copy(tenant.begin(), tenant.end(), entry_->tenant.begin()) = '\0';
}

LedgerEntry::LedgerEntry(LedgerEntry &&other) noexcept
    : entry_(std::exchange(other.entry_, nullptr)), kind_(other.kind_) {}

LedgerEntry &LedgerEntry::operator=(LedgerEntry &&other) noexcept {
  std::swap(entry_, other.entry_);
  std::swap(kind_, other.kind_);
  return *this;
}

void LedgerEntry::become(Ledger::Kind kind) {
  kind_ = kind;
  keep();
}

void LedgerEntry::is_request(const Ledger::Files &files) {
  if (entry_ == nullptr) return;
  take_out();
  entry_->files = files;
  become(Ledger::Kind::kRequest);
}

void LedgerEntry::is_answer(int file, std::uint64_t offset, bool request_over) {
  if (entry_ == nullptr) return;
  take_out();
  entry_->files = {file, -1, -1};
  entry_->offset = static_cast<off_t>(offset);
  entry_->request_over = request_over;
  become(Ledger::Kind::kAnswer);
}

void LedgerEntry::is_sandbox() {
  if (entry_ == nullptr) return;
  entry_->files = Ledger::kNoFiles;
  become(Ledger::Kind::kSandbox);
}

void LedgerEntry::take_out() {
  if (entry_ != nullptr) entry_->kind.store(Ledger::Kind::kNothing, std::memory_order_release);
}

void LedgerEntry::keep() {
  if (entry_ != nullptr) entry_->kind.store(kind_, std::memory_order_release);
}

void LedgerEntry::reset() {
  take_out();
  entry_ = nullptr;
}

}  // namespace paddock::fcgi_gateway
