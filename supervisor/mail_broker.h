// The supervisor's view of mail: the broker that reads it, the count of it, and the MTA that is run with it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "policies/config.h"
#include "protocols/mail/mail_link.h"
#include "supervisor/helper_program.h"
#include "supervisor/mail_quota.h"

namespace paddock::supervisor {

class MailBroker {
 public:
  struct Callbacks {
    // Of each message, once it is known.
    std::function<void(const std::string &tenant, bool sent)> on_message;
    // The first of a minute's refusals of one tenant, and how many there were since the last one told.
    std::function<void(const std::string &tenant, const std::string &reason, std::uint64_t messages)>
        on_refused;
  };

  struct Setup {
    SpawnOptions program;
    std::vector<std::string> command;  // the MTA
    BorrowedFd cgroup;                 // where it runs
    std::string socket_directory;      // exists
  };
  MailBroker(boost::asio::io_context &io, Setup setup, Callbacks callbacks);
  ~MailBroker();

  void start() { program_.start(); }
  void stop() { program_.stop(); }

  // Before a sandbox of this tenant starts: makes the socket that its view is to show. Its path.
  [[nodiscard]] Result<std::string> open(std::uint32_t number, const policies::Tenant &tenant,
                                         const policies::MailLimits &limits);
  // Other limits, while it runs.
  void change(std::uint32_t number, const policies::MailLimits &limits);
  // The sandbox has ended. What was counted stays.
  void close(std::uint32_t number);
  // There is no such tenant any more.
  void forget(std::uint32_t number);

  struct Figures {
    std::uint64_t sent = 0;       // messages that the MTA took
    std::uint64_t refused = 0;    // messages
    std::uint64_t last_hour = 0;  // recipients
  };
  [[nodiscard]] Figures figures(std::uint32_t number);
  [[nodiscard]] const HelperProgram &program() const { return program_; }

 private:
  struct Account;
  struct Delivery;

  void on_packet(Packet &packet);
  void introduce(std::uint32_t number, const Account &account);
  void deliver(const mail_link::Deliver &message, BorrowedFd file);
  Result<void> run_mta(Account &account, const mail_link::Deliver &message, BorrowedFd file);
  void mta_ended(std::list<std::shared_ptr<Delivery>>::iterator place, const ExitStatus &status);
  void refused(Account &account, const std::string &reason);
  void tell(std::uint64_t delivery, bool sent, const std::string &text);

  boost::asio::io_context &io_;
  Setup setup_;
  Callbacks callbacks_;
  std::map<std::uint32_t, std::unique_ptr<Account>> accounts_;
  std::list<std::shared_ptr<Delivery>> deliveries_;
  HelperProgram program_;
  bool up_ = false;
};

}  // namespace paddock::supervisor
