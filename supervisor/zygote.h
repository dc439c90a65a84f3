// The supervisor's view of the zygote: the program that sandboxes are cloned from.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocols/zygote_link/zygote_link.h"
#include "supervisor/helper_program.h"

namespace paddock::supervisor {

// What came of a spawn. Exactly one of the two is called, once, and never from inside request().
struct SpawnCallbacks {
  std::function<void(Child keeper)> on_spawned;
  std::function<void(const Error &error)> on_failed;
};

class Zygote {
 public:
  // Called when an instance() clones no more.
  using OnGone = std::function<void(std::uint64_t instance)>;

  // name: for the log. With the last reference the program is told to end.
  [[nodiscard]] static std::shared_ptr<Zygote> make(boost::asio::io_context &io, std::string name,
                                                    SpawnOptions options, OnGone on_gone = {});
  // Another one, of the same kind, for one sandbox that is to have an address layout of its own.
  [[nodiscard]] std::shared_ptr<Zygote> another() const { return make(io_, program_.name(), options_); }

  void start() { program_.start(); }
  void stop() { program_.stop(); }

  // Has a keeper cloned. While the zygote is down the request waits for it. The descriptors are in the order
  // of zygote_link::SpawnFd and become the zygote's. Returns the request's number, for forget().
  std::uint32_t request(zygote_link::Spawn spawn, std::vector<UniqueFd> fds, SpawnCallbacks callbacks);
  // The zygote has been asked, and has not answered: the keeper may be there.
  [[nodiscard]] bool under_way(std::uint32_t request) const {
    const auto found = pending_.find(request);
    return found != pending_.end() && found->second.sent;
  }
  // Forgets a request: no call-back comes. A keeper that is cloned all the same is killed.
  void forget(std::uint32_t request) { pending_.erase(request); }

  [[nodiscard]] const HelperProgram &program() const { return program_; }
  [[nodiscard]] const std::string &php_version() const { return php_version_; }
  // The process that clones now, as no other process of any zygote is called; 0: none, it is down.
  [[nodiscard]] std::uint64_t instance() const { return instance_; }
  // The sizes of its opcache's regions, in bytes.
  [[nodiscard]] const std::vector<std::uint64_t> &opcache_bytes() const { return opcache_bytes_; }

 private:
  Zygote(boost::asio::io_context &io, std::string name, SpawnOptions options, OnGone on_gone);
  static void retire(Zygote *zygote);
  static void leave(std::unique_ptr<Zygote> zygote);

  struct Pending {
    zygote_link::Spawn spawn;
    std::vector<UniqueFd> fds;
    SpawnCallbacks callbacks;
    bool sent = false;
  };

  void send(Pending &pending);
  void on_packet(Packet &packet);
  void on_down();
  void end_instance();
  void end_stray(Child keeper);
  void reap_when_ended(Child child, ChildWatch::OnExit on_exit);
  void lose_sent(const std::string &why);
  // self: kept until then.
  void reap_strays(int rounds, std::shared_ptr<Zygote> self = {});

  boost::asio::io_context &io_;
  SpawnOptions options_;
  std::unique_ptr<Zygote> self_;  // while it ends, after retire(): it is this process's child
  boost::asio::steady_timer stray_timer_;
  std::map<std::uint64_t, std::shared_ptr<ChildWatch>> strays_;  // children of ours that nobody else watches
  std::uint64_t next_stray_ = 0;
  std::map<std::uint32_t, Pending> pending_;  // by number of the request
  std::uint32_t next_request_ = 1;
  std::string php_version_;
  std::vector<std::uint64_t> opcache_bytes_;
  OnGone on_gone_;
  std::uint64_t instance_ = 0;
  HelperProgram program_;
};

}  // namespace paddock::supervisor
