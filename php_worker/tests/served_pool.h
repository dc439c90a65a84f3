// A `paddock-php serve` in a directory of its own, for one test.
#pragma once

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "base/process.h"
#include "php_worker/tests/fastcgi_client.h"

namespace paddock::php_worker::testing {

// Polls until `met` or 20 s have passed.
inline bool eventually(const std::function<bool()> &met) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!met()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

inline std::string contents(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char path[] = "/tmp/paddock-php-test-XXXXXX";
    if (::mkdtemp(path) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = path;
    ::chmod(path, 0755);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory &) = delete;
  TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;
  [[nodiscard]] const std::string &path() const { return path_; }
  // Writes a file below and returns its path.
  std::string write(const std::string &name, const std::string &text) const {
    const std::string whole = path_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(whole).parent_path());
    std::ofstream(whole, std::ios::binary) << text;
    return whole;
  }

 private:
  std::string path_;
};

class ServedPool {
 public:
  explicit ServedPool(std::vector<std::string> more = {}) {
    directory_.write("ini/php.ini",
                     "zend_extension=opcache\nopcache.enable=1\nerror_reporting=-1\nlog_errors=1\n"
                     "display_errors=0\nopcache.revalidate_freq=0\nopcache.file_update_protection=0\n");
    SpawnOptions options;
    options.arguments = {PADDOCK_PHP, "serve",    "--listen",  socket(),
                         "--log",     log_path(), "--ini-dir", path() + "/ini"};
    options.arguments.insert(options.arguments.end(), more.begin(), more.end());
    // Leaks: PHP keeps what it starts with until the process ends.
    options.environment = {"PATH=/usr/bin:/bin", "HOME=" + path(), "FROM_OUTSIDE=yes"};
    auto spawned = spawn(options);
    if (!spawned) throw std::runtime_error(spawned.error().message());
    child_ = std::move(*spawned);
    if (!eventually([&] { return std::filesystem::exists(socket()) && !workers().empty(); }))
      throw std::runtime_error("the pool did not start: " + log());
  }

  ~ServedPool() {
    if (!child_.valid()) return;
    if (stop().success() || ended_) return;
    [[maybe_unused]] const auto killed = child_.signal(SIGKILL);
  }

  // SIGTERM, and the exit status.
  ExitStatus stop() {
    [[maybe_unused]] const auto asked = child_.signal(SIGTERM);
    return wait();
  }
  void ask_to_stop() { [[maybe_unused]] const auto asked = child_.signal(SIGTERM); }
  ExitStatus wait() {
    ExitStatus status{true, SIGKILL};
    ended_ = eventually([&] {
      const auto reaped = child_.try_reap();
      if (!reaped) return true;
      if (*reaped) status = **reaped;
      return reaped->has_value();
    });
    if (ended_) child_ = Child();
    return status;
  }

  [[nodiscard]] const std::string &path() const { return directory_.path(); }
  [[nodiscard]] std::string socket() const { return path() + "/s"; }
  [[nodiscard]] std::string log_path() const { return path() + "/log"; }
  [[nodiscard]] std::string log() const { return contents(log_path()); }
  [[nodiscard]] bool log_says(const std::string &text) const {
    return eventually([&] { return log().find(text) != std::string::npos; });
  }
  [[nodiscard]] int pid() const { return child_.pid(); }

  // Children of the keeper.
  [[nodiscard]] std::vector<int> workers() const {
    std::ifstream in("/proc/" + std::to_string(child_.pid()) + "/task/" + std::to_string(child_.pid()) +
                     "/children");
    return {std::istream_iterator<int>(in), {}};
  }

  std::string script(const std::string &name, const std::string &code) const {
    return directory_.write(name, "<?php " + code);
  }
  const TemporaryDirectory &directory() const { return directory_; }

  [[nodiscard]] Response get(const std::string &script, ParamList params = {}) const {
    Request request;
    request.script = script;
    request.params = std::move(params);
    return fetch(socket(), request);
  }
  // Writes a script and requests it.
  [[nodiscard]] Response run(const std::string &code, ParamList params = {}) const {
    return get(script("run" + std::to_string(++scripts_) + ".php", code), std::move(params));
  }

 private:
  TemporaryDirectory directory_;
  Child child_;
  bool ended_ = false;
  mutable int scripts_ = 0;
};

}  // namespace paddock::php_worker::testing
