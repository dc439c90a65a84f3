#include "supervisor/zygote.h"

#include <signal.h>
#include <sys/wait.h>

#include <utility>

#include "base/log.h"

namespace paddock::supervisor {
namespace {

constexpr int kReapRounds = 5;

}  // namespace

Zygote::Zygote(boost::asio::io_context &io, std::string name, SpawnOptions options, OnGone on_gone)
    : io_(io),
      options_(options),
      stray_timer_(io),
      on_gone_(std::move(on_gone)),
      program_(io, std::move(name), std::move(options),
               {.on_packet = [this](Packet &packet) { on_packet(packet); },
                .on_down = [this] { on_down(); },
                .on_gone = [this] { leave(std::move(self_)); }}) {}

std::shared_ptr<Zygote> Zygote::make(boost::asio::io_context &io, std::string name, SpawnOptions options,
                                     OnGone on_gone) {
  return {new Zygote(io, std::move(name), std::move(options), std::move(on_gone)), retire};
}

void Zygote::retire(Zygote *zygote) {
  std::unique_ptr<Zygote> owned(zygote);
  owned->pending_.clear();
  owned->end_instance();
  owned->program_.stop();
  if (owned->program_.running())
    zygote->self_ = std::move(owned);
  else
    leave(std::move(owned));
}

// Later, since the last reference may go within one of its own call-backs, and since somebody has to wait for
// what it cloned and did not tell of: that is our child.
void Zygote::leave(std::unique_ptr<Zygote> zygote) {
  if (!zygote) return;
  Zygote &gone = *zygote;
  gone.reap_strays(kReapRounds, std::move(zygote));
}

std::uint32_t Zygote::request(zygote_link::Spawn spawn, std::vector<UniqueFd> fds, SpawnCallbacks callbacks) {
  const std::uint32_t request = spawn.request = next_request_++;
  auto &pending = pending_[request];
  pending = {std::move(spawn), std::move(fds), std::move(callbacks)};
  if (instance_ != 0) send(pending);
  return request;
}

void Zygote::send(Pending &pending) {
  std::vector<BorrowedFd> fds;
  for (const auto &fd : pending.fds) fds.push_back(fd.borrow());
  pending.sent = true;
  program_.link()->send(pending.spawn, fds);
  pending.fds.clear();
}

void Zygote::on_packet(Packet &packet) {
  const auto take = [this](std::uint32_t request) {
    auto node = pending_.extract(request);
    return node.empty() ? SpawnCallbacks{} : std::move(node.mapped().callbacks);
  };
  switch (packet.type()) {
    case zygote_link::Hello::kType: {
      const auto hello = packet.as<zygote_link::Hello>();
      if (!hello) break;
      php_version_ = hello->php_version;
      log::info("the " + program_.name() + " is ready: PHP " + php_version_ + ", initialised in " +
                std::to_string(hello->started_in_us / 1000) + " ms");
      static std::uint64_t instances = 0;
      instance_ = ++instances;
      opcache_bytes_ = hello->opcache_bytes;
      for (auto &[request, pending] : pending_)
        if (!pending.sent) send(pending);
      return;
    }
    case zygote_link::Spare::kType: {
      const auto spare = packet.as<zygote_link::Spare>();
      if (!spare || packet.fds.size() != 1) break;
      return reap_when_ended(Child(static_cast<pid_t>(spare->pid), std::move(packet.fds.front())),
                             [this](const ExitStatus &status) {
                               if (!status.success())
                                 lose_sent("the spare zygote ended: " + status.to_string());
                             });
    }
    case zygote_link::Spawned::kType: {
      const auto spawned = packet.as<zygote_link::Spawned>();
      if (!spawned || packet.fds.size() != 1) break;
      Child keeper(static_cast<pid_t>(spawned->pid), std::move(packet.fds.front()));
      if (const auto callbacks = take(spawned->request); callbacks.on_spawned) {
        callbacks.on_spawned(std::move(keeper));
      } else {
        end_stray(std::move(keeper));
      }
      return;
    }
    case zygote_link::SpawnFailed::kType: {
      const auto failed = packet.as<zygote_link::SpawnFailed>();
      if (!failed) break;
      if (const auto callbacks = take(failed->request); callbacks.on_failed)
        callbacks.on_failed(errno_error(failed->step, failed->error));
      return;
    }
    default:
      break;
  }
  log::warning("the zygote sent a malformed message of type " + std::to_string(packet.type()));
}

void Zygote::end_instance() {
  if (const std::uint64_t ended = std::exchange(instance_, 0); ended != 0 && on_gone_) on_gone_(ended);
}

void Zygote::on_down() {
  end_instance();
  reap_strays(kReapRounds);
  lose_sent("the zygote ended while it cloned the sandbox");
}

// What it was asked and did not answer is lost; what it was not yet asked waits for the next one.
void Zygote::lose_sent(const std::string &why) {
  std::vector<SpawnCallbacks> lost;
  for (auto it = pending_.begin(); it != pending_.end();) {
    if (it->second.sent) {
      lost.push_back(std::move(it->second.callbacks));
      it = pending_.erase(it);
    } else {
      ++it;
    }
  }
  // The last reference may go here; leave() then begins the reaping anew.
  for (const auto &callbacks : lost) callbacks.on_failed(Error{why});
}

// Nobody waits for it any more, but it is our child.
void Zygote::end_stray(Child keeper) {
  if (const auto killed = keeper.signal(SIGKILL); !killed) log::debug(killed.error().message());
  reap_when_ended(std::move(keeper), [](const ExitStatus &) {});
}

void Zygote::reap_when_ended(Child child, ChildWatch::OnExit on_exit) {
  const std::uint64_t key = next_stray_++;
  strays_[key] = ChildWatch::start(io_, std::move(child),
                                   [this, key, on_exit = std::move(on_exit)](const ExitStatus &status) {
                                     const auto watch = strays_.extract(key);  // which is calling
                                     on_exit(status);
                                   });
}

// A keeper that was cloned without our having learned its pidfd is our child all the same (CLONE_PARENT). Its
// link has closed, so it ends, and we look for it a few times. This may reap a child that somebody watches;
// its watch then finds ECHILD and takes it for ended, as it is.
void Zygote::reap_strays(int rounds, std::shared_ptr<Zygote> self) {
  if (rounds == 0) return;
  stray_timer_.expires_after(std::chrono::seconds(1));
  stray_timer_.async_wait([this, rounds, self = std::move(self)](const boost::system::error_code &error) {
    if (error) return;
    while (::waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
    }
    reap_strays(rounds - 1, self);
  });
}

}  // namespace paddock::supervisor
