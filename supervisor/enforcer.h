// Does what the config's abuse rules say, once they come true.
//
// A tenant at a time: what is done to it is an event with the figures that led to it, before it is done.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>

#include "accounting/rule_evaluator.h"
#include "policies/config.h"
#include "supervisor/accountant.h"
#include "supervisor/notifier.h"

namespace paddock::supervisor {

class Tenant;

class Enforcer {
 public:
  // find: the tenant of that name; null where it has gone. All three outlive this.
  Enforcer(boost::asio::io_context &io, Accountant &accountant,
           std::function<Tenant *(const std::string &)> find)
      : io_(io), accountant_(accountant), notifier_(io), find_(std::move(find)) {}

  // Windows and cooldowns of rules that stay are kept.
  void set_rules(const policies::Config &config);
  // From the event log: what has fired before a restart does not fire again within its cooldown.
  void restore();

  // What a tenant used in the `length` up to `end`. What comes of it is done later, from the loop.
  void observe(const std::string &tenant, accounting::Time end, std::chrono::milliseconds length,
               const accounting::Usage &usage);

 private:
  void fired(const accounting::Firing &firing);
  void act(Tenant &tenant, const accounting::Firing &firing);
  void notify(const accounting::Firing &firing, const std::string &text);

  boost::asio::io_context &io_;
  Accountant &accountant_;
  Notifier notifier_;
  std::function<Tenant *(const std::string &)> find_;
  accounting::RuleEvaluator evaluator_;
  accounting::Time expired_{};
  uid_t notify_uid_ = 0;
  gid_t notify_gid_ = 0;
};

}  // namespace paddock::supervisor
