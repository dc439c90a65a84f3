// What the tests of this folder share.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "accounting/counters.h"
#include "accounting/database.h"

namespace paddock::accounting {

struct TempDir {
  TempDir() {
    char name[] = "/tmp/paddock-accounting-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  TempDir(const TempDir &) = delete;
  TempDir &operator=(const TempDir &) = delete;

  [[nodiscard]] std::string file() const { return path + "/history.db"; }

  std::string path;
};

// Files in the directory whose names contain the text.
inline std::size_t count_files(const std::string &directory, const std::string &part) {
  std::size_t count = 0;
  for (const auto &entry : std::filesystem::directory_iterator(directory))
    if (entry.path().filename().string().find(part) != std::string::npos) ++count;
  return count;
}

// 2026-01-01 00:00:00 UTC, the begin of a minute, an hour and a day.
inline constexpr Time kNewYear{std::chrono::seconds(1'767'225'600)};

inline Usage cpu(std::uint64_t us) {
  Usage usage;
  usage.counters.cpu_user_us = us;
  return usage;
}

inline std::int64_t query(const std::string &file, const std::string &sql) {
  auto database = Database::open(file, Database::Access::kReadOnly, std::chrono::seconds(5));
  if (!database) return -1;
  const auto value = database->query_integer(sql);
  return value.ok() ? *value : -1;
}

}  // namespace paddock::accounting
