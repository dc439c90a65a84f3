// The gateway: holds every tenant's listening socket and does with it what the supervisor says
// (gateway_link.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "base/message_socket.h"
#include "fcgi_gateway/admission.h"
#include "fcgi_gateway/figures.h"
#include "fcgi_gateway/guardian.h"
#include "fcgi_gateway/ledger.h"
#include "fcgi_gateway/machine_cap.h"
#include "fcgi_gateway/refusal_reports.h"
#include "fcgi_gateway/refuser.h"
#include "fcgi_gateway/slow_requests.h"
#include "fcgi_gateway/spool.h"
#include "fcgi_gateway/supervisor_link.h"
#include "fcgi_gateway/tenant_socket.h"
#include "fcgi_gateway/unread_answers.h"
#include "protocols/gateway_link/gateway_link.h"

namespace paddock::fcgi_gateway {

struct GatewayOptions {
  RefuserLimits refusing;
  std::chrono::milliseconds report_interval{1'000};  // of the figures
  std::size_t slow_requests = 4096;                  // at once, of all tenants
  std::size_t unread_answers = 4096;                 // the same
  Spool spool;
  UniqueFd reports;  // of what the web server refused itself (refusal_reports.h); may be none
  // Where what is held goes when this gateway ends, and comes from; none: it ends with it.
  std::optional<Inheritance> inheritance;
  std::size_t descriptors = 0;  // that may be open, where there is one
};

class Gateway {
 public:
  // link: connected to the supervisor, made non-blocking here. Says Hello over it. One gateway a process
  // (install_accept_timeout()).
  [[nodiscard]] static Result<std::unique_ptr<Gateway>> create(MessageSocket link,
                                                               GatewayOptions options = {});
  ~Gateway();
  Gateway(const Gateway &) = delete;
  Gateway &operator=(const Gateway &) = delete;

  // Serves until the supervisor closes the link (a value), or sends what no supervisor would (an error): a
  // gateway that knows not what it should do ends, and is started anew with all that it has to know. For the
  // next to have what this one holds it is not destroyed.
  Result<void> run();

 private:
  struct Tenant {
    std::string name;
    TenantSocket socket;
    gateway_link::Mode mode = gateway_link::Mode::kLeased;
    bool polled = false;                      // in kWatch, until Wake
    std::shared_ptr<const Response> refusal;  // in kRefuse
    std::unique_ptr<Admission> admission;     // from the first lease on
  };

  explicit Gateway(EventLoop loop, MessageSocket link, GatewayOptions options, Ledger ledger);
  Result<void> receive(Packet packet);
  Result<void> add(const gateway_link::AddTenant &message, UniqueFd fd);
  Result<void> set_mode(std::uint32_t number, Tenant &tenant, gateway_link::Mode mode,
                        const gateway_link::Refusal &refusal);
  Result<void> lease(const gateway_link::Lease &message, std::vector<UniqueFd> fds);
  Result<void> remove(std::uint32_t number);
  // An Error names the message that was about a tenant that does not exist.
  Result<Tenant *> find(std::uint32_t number, const char *message);
  void leave_mode(std::uint32_t number, Tenant &tenant);
  void wake(std::uint32_t number);
  // Where all that was sent before has left.
  template <typename Message>
  bool tell(const Message &message) {
    if (!link_.idle()) return false;
    link_.send(message);
    return true;
  }
  void whole(std::uint32_t number, WaitingRequest request);
  Result<void> read_inheritance();
  void receive_inherited();
  void claim(std::uint32_t number, Tenant &tenant);
  bool deliver(std::uint32_t number, Tenant &tenant, Packet &packet);
  Result<void> read_reports(UniqueFd socket);
  Result<std::shared_ptr<const Response>> shared_response(const gateway_link::Refusal &refusal);

  EventLoop loop_;
  std::optional<Inheritance> inheritance_;
  Ledger ledger_;
  std::optional<Guardian> guardian_;
  // What was inherited of tenants that are not known, or have no sandbox, yet.
  std::unordered_map<std::string, std::vector<Packet>> unclaimed_;
  EventLoop::TimerId unclaimed_timer_ = 0;
  // Responses by their hash: a machine where everybody is refused the same way keeps one copy.
  std::unordered_map<std::size_t, std::weak_ptr<const Response>> responses_;
  SupervisorLink link_;
  Figures figures_;
  RefusalReports reports_;
  Refuser refuser_;
  SlowRequests slow_;
  UnreadAnswers unread_;
  MachineCap cap_;
  std::unordered_map<std::uint32_t, Tenant> tenants_;
  std::unordered_map<std::string, std::uint32_t> numbers_;  // by name
  std::optional<Result<void>> ended_;
};

}  // namespace paddock::fcgi_gateway
