#include "supervisor/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "base/log.h"
#include "supervisor/listening_socket.h"

namespace paddock::supervisor {
namespace {

constexpr int kFirstFd = 3;  // SD_LISTEN_FDS_START
// The manager reads its datagrams one by one, and a restart sends it one for each tenant.
constexpr timeval kPatience{5, 0};

std::string taken_from_environment(const char *name) {
  const char *value = std::getenv(name);  // before any thread
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

std::optional<std::uint64_t> number_in(const std::string &text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_for_us(const std::string &pid) {
  return number_in(pid) == static_cast<std::uint64_t>(::getpid());
}

std::map<std::string, UniqueFd> stored_descriptors() {
  std::map<std::string, UniqueFd> stored;
  const bool ours = is_for_us(taken_from_environment("LISTEN_PID"));
  const auto count = number_in(taken_from_environment("LISTEN_FDS"));
  std::istringstream names(taken_from_environment("LISTEN_FDNAMES"));
  if (!ours || !count) return stored;
  for (std::uint64_t i = 0; i < *count; ++i) {
    UniqueFd fd(kFirstFd + static_cast<int>(i));
    std::string name;
    std::getline(names, name, ':');
    if (::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) == 0) stored.insert_or_assign(name, std::move(fd));
  }
  return stored;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager;
  manager.stored_ = stored_descriptors();
  manager.address_ = taken_from_environment("NOTIFY_SOCKET");
  const std::string watchdog_pid = taken_from_environment("WATCHDOG_PID");
  const auto watchdog = number_in(taken_from_environment("WATCHDOG_USEC"));
  const auto &address = manager.address_;
  if (address.size() < 2 || address.size() >= sizeof sockaddr_un{}.sun_path ||
      (address[0] != '/' && address[0] != '@'))
    return manager;
  if (watchdog && *watchdog > 0 && (watchdog_pid.empty() || is_for_us(watchdog_pid)))
    manager.watchdog_ = std::chrono::microseconds(*watchdog);
  manager.socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (manager.socket_.valid())
    ::setsockopt(manager.socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  return manager;
}

void ServiceManager::ready() {
  send("READY=1");
}

void ServiceManager::reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void ServiceManager::stopping() {
  send("STOPPING=1");
}

void ServiceManager::alive() {
  send("WATCHDOG=1");
}

void ServiceManager::store(const std::string &name, BorrowedFd fd) {
  // FDPOLL=0: whether the socket still listens is our affair, not the manager's.
  send("FDSTORE=1\nFDNAME=" + name + "\nFDPOLL=0", fd);
}

void ServiceManager::forget(const std::string &name) {
  send("FDSTOREREMOVE=1\nFDNAME=" + name);
}

std::optional<UniqueFd> ServiceManager::take(const std::string &name) {
  auto node = stored_.extract(name);
  if (node.empty()) return std::nullopt;
  return std::move(node.mapped());
}

std::optional<UniqueFd> ServiceManager::take_listener(const std::string &name) {
  auto kept = take(name);
  if (!kept || still_listens(*kept)) return kept;
  forget(name);
  return std::nullopt;
}

void ServiceManager::drop(const std::string &name) {
  if (stored_.erase(name) != 0) forget(name);
}

void ServiceManager::drop_stored() {
  for (const auto &[name, fd] : stored_) forget(name);
  stored_.clear();
}

void ServiceManager::send(const std::string &text, BorrowedFd fd) {
  if (!present()) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  if (address_[0] == '@') to.sun_path[0] = '\0';
  std::string bytes = text;
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd.valid()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd.get();
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
  }
  if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) < 0)
    log::warning(errno_error("tell the service manager " + text.substr(0, text.find('\n'))).message());
}

}  // namespace paddock::supervisor
