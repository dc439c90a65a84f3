#include "supervisor/mail_broker.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "base/log.h"
#include "protocols/mail/address.h"
#include "supervisor/listening_socket.h"

namespace paddock::supervisor {
namespace {

// Of all tenants, and of one: a slow MTA is the sender's wait.
constexpr std::size_t kMtasAtOnce = 32;
constexpr std::size_t kMtasOfOneTenant = 8;
constexpr std::chrono::seconds kPatienceWithMta{60};
constexpr std::chrono::minutes kBetweenReports{1};

}  // namespace

struct MailBroker::Account {
  std::string name;
  std::string user;
  std::string home;
  uid_t uid = 0;
  gid_t gid = 0;
  policies::MailLimits limits;
  std::string path;
  UniqueFd listener;  // invalid: no sandbox
  MailQuota quota;
  std::uint64_t sent = 0;
  std::uint64_t refused = 0;
  std::uint64_t refused_untold = 0;
  std::chrono::steady_clock::time_point told;
};

// A message that an MTA is being given.
struct MailBroker::Delivery {
  explicit Delivery(boost::asio::io_context &io) : timer(io) {}
  std::uint64_t number = 0;  // the broker's; 0: of a broker that has gone
  std::uint32_t tenant = 0;
  std::uint32_t recipients = 0;
  std::shared_ptr<ChildWatch> watch;
  boost::asio::steady_timer timer;
};

MailBroker::MailBroker(boost::asio::io_context &io, Setup setup, Callbacks callbacks)
    : io_(io),
      setup_(std::move(setup)),
      callbacks_(std::move(callbacks)),
      program_(io, "paddock-mail", std::move(setup_.program),
               {.on_packet = [this](Packet &packet) { on_packet(packet); },
                .on_down =
                    [this] {
                      up_ = false;
                      // The next one begins to count anew.
                      for (auto &delivery : deliveries_) delivery->number = 0;
                    },
                .on_gone = {}}) {}

MailBroker::~MailBroker() {
  for (auto &[number, account] : accounts_) close(number);
}

Result<std::string> MailBroker::open(std::uint32_t number, const policies::Tenant &tenant,
                                     const policies::MailLimits &limits) {
  auto &account = accounts_[number];
  if (!account) account = std::make_unique<Account>();
  account->name = tenant.name;
  account->user = tenant.user;
  account->home = tenant.home;
  account->uid = tenant.uid;
  account->gid = tenant.gid;
  account->limits = limits;
  account->path = setup_.socket_directory + "/" + tenant.name + ".sock";
  PADDOCK_TRY(account->listener, listen_at(account->path, tenant.gid, SOCK_SEQPACKET));
  introduce(number, *account);
  return account->path;
}

void MailBroker::change(std::uint32_t number, const policies::MailLimits &limits) {
  const auto found = accounts_.find(number);
  if (found == accounts_.end()) return;
  found->second->limits = limits;
  introduce(number, *found->second);
}

void MailBroker::introduce(std::uint32_t number, const Account &account) {
  if (!up_ || program_.link() == nullptr || !account.listener.valid()) return;
  mail_link::OpenTenant message;
  message.tenant = number;
  message.name = account.name;
  message.uid = account.uid;
  message.message_bytes = account.limits.message_bytes;
  message.recipients = account.limits.recipients;
  message.any_sender = account.limits.sender == policies::MailSender::kAny;
  program_.link()->send(message, std::array{account.listener.borrow()});
}

void MailBroker::close(std::uint32_t number) {
  const auto found = accounts_.find(number);
  if (found == accounts_.end() || !found->second->listener.valid()) return;
  found->second->listener.reset();
  ::unlink(found->second->path.c_str());
  if (up_ && program_.link() != nullptr) program_.link()->send(mail_link::CloseTenant{number});
}

void MailBroker::forget(std::uint32_t number) {
  close(number);
  accounts_.erase(number);
}

MailBroker::Figures MailBroker::figures(std::uint32_t number) {
  const auto found = accounts_.find(number);
  if (found == accounts_.end()) return {};
  return {found->second->sent, found->second->refused, found->second->quota.used()};
}

void MailBroker::on_packet(Packet &packet) {
  switch (packet.type()) {
    case mail_link::Hello::kType:
      up_ = true;
      for (const auto &[number, account] : accounts_) introduce(number, *account);
      return;
    case mail_link::Deliver::kType:
      if (const auto message = packet.as<mail_link::Deliver>(); message && packet.fds.size() == 1)
        return deliver(*message, packet.fds.front());
      break;
    case mail_link::Refused::kType:
      if (const auto message = packet.as<mail_link::Refused>(); message) {
        const auto found = accounts_.find(message->tenant);
        if (found != accounts_.end()) refused(*found->second, message->reason);
        return;
      }
      break;
    default:
      break;
  }
  log::warning("the mail broker sent a malformed message of type " + std::to_string(packet.type()));
}

void MailBroker::deliver(const mail_link::Deliver &message, BorrowedFd file) {
  const auto found = accounts_.find(message.tenant);
  if (found == accounts_.end()) return tell(message.delivery, false, "there is no such tenant");
  Account &account = *found->second;
  const auto count = static_cast<std::uint32_t>(message.recipients.size());
  if (!account.quota.take(count, account.limits.per_hour)) {
    const std::string limit = std::to_string(account.limits.per_hour);
    const std::string why = account.limits.per_hour == 0
                                ? "this plan sends no mail"
                                : "the limit of " + limit + " recipients an hour (mail_per_hour) is reached";
    refused(account, why);
    return tell(message.delivery, false, why);
  }
  if (const auto run = run_mta(account, message, file); !run) {
    account.quota.give_back(count);
    log::error(account.name + ": its mail is not sent: " + run.error().message());
    refused(account, "the MTA could not be started");
    tell(message.delivery, false, "the host's MTA could not be started");
  }
}

Result<void> MailBroker::run_mta(Account &account, const mail_link::Deliver &message, BorrowedFd file) {
  // They stand among the MTA's arguments, where the broker's word is not enough.
  const bool plain =
      std::all_of(message.recipients.begin(), message.recipients.end(), mail::is_plain_address);
  if (!plain || (!message.sender.empty() && !mail::is_plain_address(message.sender)) ||
      message.recipients.empty() || message.recipients.size() > mail_link::Deliver::kMostRecipients)
    return Error{"the mail broker named no addresses"};
  const auto same_tenant = [&](const auto &delivery) { return delivery->tenant == message.tenant; };
  if (deliveries_.size() >= kMtasAtOnce ||
      static_cast<std::size_t>(std::count_if(deliveries_.begin(), deliveries_.end(), same_tenant)) >=
          kMtasOfOneTenant)
    return Error{"too many MTAs run already"};

  SpawnOptions options;
  options.arguments = setup_.command;
  if (!message.sender.empty()) options.arguments.insert(options.arguments.end(), {"-f", message.sender});
  options.arguments.emplace_back("--");
  options.arguments.insert(options.arguments.end(), message.recipients.begin(), message.recipients.end());
  options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "USER=" + account.user,
                         "LOGNAME=" + account.user, "HOME=" + account.home};
  options.fds = {{file, 0}};
  options.uid = account.uid;
  options.gid = account.gid;
  options.cgroup = setup_.cgroup;
  // Postfix' postdrop is set-group-ID, Exim set-user-ID.
  options.no_new_privs = false;
  PADDOCK_TRY(Child child, spawn(options));

  const auto place = deliveries_.insert(deliveries_.end(), std::make_shared<Delivery>(io_));
  (*place)->number = message.delivery;
  (*place)->tenant = message.tenant;
  (*place)->recipients = static_cast<std::uint32_t>(message.recipients.size());
  (*place)->watch = ChildWatch::start(io_, std::move(child),
                                      [this, place](const ExitStatus &status) { mta_ended(place, status); });
  (*place)->timer.expires_after(kPatienceWithMta);
  (*place)->timer.async_wait(
      [weak = std::weak_ptr<Delivery>(*place)](const boost::system::error_code &error) {
        const auto self = weak.lock();
        if (error || !self) return;
        if (const auto killed = self->watch->child().signal(SIGKILL); !killed)
          log::warning(killed.error().message());
      });
  return {};
}

void MailBroker::mta_ended(std::list<std::shared_ptr<Delivery>>::iterator place, const ExitStatus &status) {
  const auto delivery = *place;  // until its watch, which calls, has returned
  deliveries_.erase(place);
  delivery->timer.cancel();
  const auto found = accounts_.find(delivery->tenant);
  if (found != accounts_.end()) {
    Account &account = *found->second;
    if (status.success()) {
      ++account.sent;
      callbacks_.on_message(account.name, true);
    } else {
      account.quota.give_back(delivery->recipients);
      log::warning(account.name + ": the MTA did not take its mail: " + status.to_string());
      refused(account, "the MTA did not take it: " + status.to_string());
    }
  }
  tell(delivery->number, status.success(),
       status.success() ? std::string() : "the host's MTA did not take it: " + status.to_string());
}

// An event a minute: a tenant that tries for ever fills no book.
void MailBroker::refused(Account &account, const std::string &reason) {
  ++account.refused;
  callbacks_.on_message(account.name, false);
  ++account.refused_untold;
  const auto now = std::chrono::steady_clock::now();
  if (account.told.time_since_epoch().count() != 0 && now - account.told < kBetweenReports) return;
  account.told = now;
  callbacks_.on_refused(account.name, reason, std::exchange(account.refused_untold, 0));
}

void MailBroker::tell(std::uint64_t delivery, bool sent, const std::string &text) {
  if (delivery != 0 && up_ && program_.link() != nullptr)
    program_.link()->send(mail_link::Delivered{delivery, sent, text});
}

}  // namespace paddock::supervisor
