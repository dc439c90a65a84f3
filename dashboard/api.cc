#include "dashboard/api.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "base/log.h"
#include "dashboard/assets.h"
#include "dashboard/metrics.h"
#include "dashboard/page_json.h"

namespace paddock::dashboard {
namespace {

namespace asio = boost::asio;
using control::Command;
using control::ErrorCode;

constexpr const char *kCookie = "paddock_session";
// A kill waits for the last process, a stop for running requests.
constexpr std::chrono::seconds kActionPatience(90);
constexpr std::chrono::seconds kAskPatience(10);
constexpr std::chrono::seconds kScraperMemory(60);

unsigned status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadRequest:
      return 400;
    case ErrorCode::kNotPermitted:
      return 403;
    case ErrorCode::kUnknownTenant:
      return 404;
    case ErrorCode::kWrongState:
      return 409;
    default:
      return 502;
  }
}

HttpResponse not_found() {
  return error_response(404, "not-found", "there is nothing here");
}

HttpResponse not_logged_in() {
  return error_response(401, "session", "not logged in, or no longer");
}

HttpResponse json_response(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

HttpResponse asset(const std::string &path) {
  for (const auto &each : assets()) {
    if (each.path != (path == "/" ? "/index.html" : path)) continue;
    HttpResponse response;
    response.content_type = each.content_type;
    response.body = std::string(each.content);
    response.cacheable = each.path.starts_with("/assets/");
    return response;
  }
  return not_found();
}

// "/api/tenants/alice/kill" to {"alice", "kill"}.
std::vector<std::string> parts_after(const std::string &path, std::string_view prefix) {
  std::vector<std::string> parts;
  std::string_view rest = std::string_view(path).substr(prefix.size());
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    parts.emplace_back(rest.substr(0, slash));
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  return parts;
}

template <typename Integer>
bool read_integer(const std::string &text, std::optional<Integer> &to) {
  Integer value{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return false;
  to = value;
  return true;
}

template <typename Enum, std::size_t N>
bool read_choice(const std::string &text, const std::array<std::string_view, N> &names,
                 std::optional<Enum> &to) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) to = static_cast<Enum>(found - names.begin());
  return found != names.end();
}

// One member of a query; what was expected, if it is not that.
std::string read_member(const std::string &key, const std::string &value, control::Request &request) {
  const bool usage = request.command == Command::kUsage;
  if (key == "tenant") {
    request.tenant = value;
    return value.empty() || value.size() > 63 ? "tenant must be 1 to 63 bytes" : "";
  }
  if (key == "since") return read_integer(value, request.since) ? "" : "since must be a Unix time";
  if (key == "limit") return read_integer(value, request.limit) ? "" : "limit must be an integer";
  if (key == "after" && !usage) return read_integer(value, request.after) ? "" : "after must be an integer";
  if (key == "top" && usage)
    return read_choice(value, control::kFigures, request.top)
               ? ""
               : "top must be cpu, memory, io, requests, refused or network";
  if (key == "step" && usage)
    return read_choice(value, control::kSteps, request.step) ? "" : "step must be minute, hour or day";
  return "unknown key " + log::quoted(key, 64) + "; expected " +
         (usage ? "tenant, since, top, limit, step" : "tenant, since, limit, after");
}

}  // namespace

Api::Api(ApiOptions options, ControlLink &link, Feed &feed)
    : options_(std::move(options)), link_(link), feed_(feed) {
  const std::string port = options_.listen.substr(options_.listen.rfind(':'));
  hosts_ = {options_.listen, "localhost" + port};
  for (const auto &host : hosts_) origins_.insert("http://" + host);
  if (options_.public_url.empty()) return;
  const std::size_t begin = options_.public_url.find("://") + 3;
  const std::size_t end = std::min(options_.public_url.find('/', begin), options_.public_url.size());
  hosts_.insert(options_.public_url.substr(begin, end - begin));
  origins_.insert(options_.public_url.substr(0, end));
}

const Session *Api::session(const HttpRequest &request) {
  const auto found = request.cookies.find(kCookie);
  return found == request.cookies.end() ? nullptr : sessions_.find(found->second);
}

bool Api::allowed_origin(const HttpRequest &request) const {
  return request.origin.empty() || origins_.contains(request.origin);
}

std::string Api::cookie(const std::string &value, std::chrono::seconds life) const {
  return std::string(kCookie) + "=" + value + "; Path=/; Max-Age=" + std::to_string(life.count()) +
         "; HttpOnly; SameSite=Strict" + (options_.public_url.starts_with("https://") ? "; Secure" : "");
}

asio::awaitable<HttpResponse> Api::answer(const HttpRequest &request) {
  if (!hosts_.contains(request.host))
    co_return error_response(421, "host", "this is not the dashboard's host name; see dashboard.public_url");
  const std::string &path = request.path;
  const bool get = request.method == "GET" || request.method == "HEAD";
  const bool post = request.method == "POST";
  if (!get && !post) {
    HttpResponse response = error_response(405, "method", "expected GET or POST");
    response.headers.emplace_back("Allow", "GET, HEAD, POST");
    co_return response;
  }
  if (path == "/metrics" && get) co_return co_await metrics_page(request);
  if (!path.starts_with("/api/")) co_return get ? asset(path) : not_found();

  if (post && !allowed_origin(request))
    co_return error_response(403, "origin", "this page is not the dashboard's");
  if (post && request.content_type != "application/json")
    co_return error_response(400, "bad-request", "expected Content-Type: application/json");
  if (path == "/api/login" && post) co_return co_await login(request);

  const Session *const who = session(request);
  if (who == nullptr) co_return not_logged_in();
  if (post && !same_secret(request.csrf, who->csrf))
    co_return error_response(403, "csrf", "X-Paddock-CSRF is not this session's");
  if (path == "/api/logout" && post) co_return logout(request);
  if (path == "/api/session" && get) co_return json_response(session_json(*who));
  if (path == "/api/usage" && get) co_return co_await books(request, Command::kUsage);
  if (path == "/api/events" && get) co_return co_await books(request, Command::kEvents);
  if (path == "/api/rules" && get) {
    if (!who->admin) co_return error_response(403, "not-permitted", "the rules are the administrators'");
    control::Request question;
    question.command = Command::kRules;
    co_return co_await ask(std::move(question), kAskPatience);
  }
  if ((path == "/api/live" || path == "/api/overview") && get) {
    if (!request.query.empty()) co_return error_response(400, "bad-request", path + " takes no query");
    if (path == "/api/overview") {
      co_await feed_.scraped();
      const Session *const still = session(request);
      co_return still == nullptr ? not_logged_in() : json_response(overview_json(feed_.data(), *still));
    }
    HttpResponse response;
    response.content_type = "text/event-stream";
    response.stream = true;
    co_return response;
  }
  constexpr std::string_view kTenants = "/api/tenants/";
  if (path.starts_with(kTenants)) {
    auto parts = parts_after(path, kTenants);
    if (parts.size() == 1 && get) co_return co_await tenant(request, std::move(parts[0]), Command::kStatus);
    if (parts.size() == 2 && parts[1] == "log" && get)
      co_return co_await tenant(request, std::move(parts[0]), Command::kLog);
    if (parts.size() == 2 && post) co_return co_await act(request, std::move(parts[0]), std::move(parts[1]));
  }
  co_return not_found();
}

asio::awaitable<HttpResponse> Api::ask(control::Request request, std::chrono::seconds patience) {
  auto reply = co_await link_.ask(std::move(request), patience);
  if (!reply) {
    const bool busy = reply.error().code == EBUSY;
    co_return error_response(busy ? 429 : 503, busy ? "busy" : "not-running", reply.error().message());
  }
  if (reply->failure)
    co_return error_response(status_of(reply->failure->code), control::name_of(reply->failure->code),
                             reply->failure->message);
  co_return json_response(std::move(reply->result));
}

asio::awaitable<HttpResponse> Api::metrics_page(const HttpRequest &request) {
  constexpr std::string_view kBearer = "Bearer ";
  const auto refuse = [] {
    HttpResponse response = error_response(
        401, "token", "expected Authorization: Bearer TOKEN; `paddock token metrics` makes one");
    response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"paddock\"");
    return response;
  };
  if (!request.authorization.starts_with(kBearer)) co_return refuse();
  const std::string token = request.authorization.substr(kBearer.size());
  if (token.empty() || token.size() > control::kTokenLimit) co_return refuse();
  const auto now = Session::Clock::now();
  if (now >= scraper_until_ || !same_secret(token, scraper_token_)) {
    control::Request question;
    question.command = Command::kLogin;
    question.token = token;
    question.from = request.from;
    const auto reply = co_await link_.ask(question, kAskPatience);
    // Without a supervisor nobody can be told from anybody. Prometheus shows the target as down, which it is.
    if (!reply) co_return error_response(503, "not-running", reply.error().message());
    const auto who = reply->failure ? Result<control::Login>(Error{"refused"})
                                    : control::result_from_json<control::Login>(reply->result);
    if (!who || (who->role != "admin" && who->role != "metrics")) co_return refuse();
    scraper_token_ = token;
    scraper_until_ = now + kScraperMemory;
  }
  co_await feed_.scraped();
  std::vector<ProcessFigures> processes;
  const auto add = [&processes](const char *name, int pid) {
    if (auto figures = process_figures(name, pid)) processes.push_back(std::move(*figures));
  };
  if (const auto &host = feed_.data().host()) {
    add("supervisor", host->pid);
    add("gateway", host->gateway_pid);
    add("zygote", host->zygote_pid);
  }
  add("dashboard", ::getpid());
  const MetricsFormat format = metrics_format(request.accept);
  HttpResponse response;
  response.content_type = content_type(format);
  response.body = metrics(feed_.data(), processes, format);
  co_return response;
}

asio::awaitable<HttpResponse> Api::login(const HttpRequest &request) {
  const auto members = flat_object(request.body);
  if (!members) co_return error_response(400, "bad-request", members.error().message());
  const auto token = members->find("token");
  if (members->size() != 1 || token == members->end() || token->second.empty() ||
      token->second.size() > control::kTokenLimit)
    co_return error_response(400, "bad-request", "expected {\"token\":\"…\"}");
  if (held_ >= LoginBrake::kMaxHeld)
    co_return error_response(429, "busy", "too many attempts; try again in a moment");
  control::Request question;
  question.command = Command::kLogin;
  question.token = token->second;
  question.from = request.from;
  const auto reply = co_await link_.ask(question, kAskPatience);
  if (!reply) co_return error_response(503, "not-running", reply.error().message());
  const auto who = reply->failure ? Result<control::Login>(Error{"refused"})
                                  : control::result_from_json<control::Login>(reply->result);
  if (!who || (who->role != "admin" && who->role != "tenant")) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(brake_.failed());
    ++held_;
    [[maybe_unused]] const auto waited = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    --held_;
    co_return error_response(401, "token", "the token is wrong, or was used up");
  }
  const auto id = sessions_.add(*who, token->second);
  if (!id) co_return error_response(503, "failed", id.error().message());
  HttpResponse response = json_response(session_json(*sessions_.find(*id)));
  response.headers.emplace_back(
      "Set-Cookie", cookie(*id, std::chrono::duration_cast<std::chrono::seconds>(Sessions::kLife)));
  co_return response;
}

HttpResponse Api::logout(const HttpRequest &request) {
  sessions_.remove(request.cookies.at(kCookie));
  HttpResponse response = json_response("{}");
  response.headers.emplace_back("Set-Cookie", cookie("", std::chrono::seconds(0)));
  return response;
}

asio::awaitable<HttpResponse> Api::tenant(const HttpRequest &request, std::string name, Command command) {
  // Whether others exist is not the tenant's to know.
  if (const Session *const who = session(request); who == nullptr || !who->may_see(name))
    co_return error_response(404, "unknown-tenant", "no tenant " + log::quoted(name, 64));
  control::Request question;
  question.command = command;
  question.tenant = std::move(name);
  co_return co_await ask(std::move(question), kAskPatience);
}

asio::awaitable<HttpResponse> Api::books(const HttpRequest &request, Command command) {
  control::Request question;
  question.command = command;
  for (const auto &[key, value] : request.query)
    if (const std::string expected = read_member(key, value, question); !expected.empty())
      co_return error_response(400, "bad-request", expected);
  const Session *const who = session(request);
  if (who == nullptr) co_return not_logged_in();
  if (!who->admin) {
    if (!question.tenant.empty() && question.tenant != who->tenant)
      co_return error_response(404, "unknown-tenant", "no tenant " + log::quoted(question.tenant, 64));
    question.tenant = who->tenant;
  }
  co_return co_await ask(std::move(question), kAskPatience);
}

asio::awaitable<HttpResponse> Api::act(const HttpRequest &request, std::string name, std::string verb) {
  static constexpr std::array kVerbs = {
      Command::kStart, Command::kStop,  Command::kRestart, Command::kKill,     Command::kFreeze,
      Command::kThaw,  Command::kBlock, Command::kUnblock, Command::kThrottle, Command::kUnthrottle};
  const auto command = std::find_if(kVerbs.begin(), kVerbs.end(),
                                    [&](Command each) { return control::name_of(each) == verb; });
  if (command == kVerbs.end()) co_return not_found();
  const Session *const who = session(request);
  if (who == nullptr) co_return not_logged_in();
  if (!who->admin) co_return error_response(403, "not-permitted", "a tenant's link shows, and does nothing");
  control::Request question;
  question.command = *command;
  question.tenant = std::move(name);
  question.token = who->token;
  question.from = request.from;
  const auto members = flat_object(request.body.empty() ? "{}" : request.body);
  if (!members) co_return error_response(400, "bad-request", members.error().message());
  for (const auto &[key, value] : *members) {
    const bool block = *command == Command::kBlock;
    const bool throttle = *command == Command::kThrottle;
    if (block && key == "reason") {
      question.reason = value;
    } else if (throttle && key == "plan") {
      question.plan = value;
    } else if ((!block && !throttle) || key != "until" || !read_integer(value, question.until)) {
      const std::string expected = std::string("expected {\"") + (block ? "reason" : "plan") +
                                   "\":\"…\"} and, if it shall end, \"until\": Unix time";
      co_return error_response(400, "bad-request",
                               block || throttle ? expected : verb + " takes no " + log::quoted(key, 64));
    }
  }
  HttpResponse response = co_await ask(std::move(question), kActionPatience);
  feed_.hurry();
  co_return response;
}

asio::awaitable<void> Api::stream(const HttpRequest &request, Write write) {
  constexpr std::chrono::seconds kHeartbeat(15);
  constexpr std::chrono::seconds kFirst(3);
  Feed::Viewer viewer(feed_);
  std::uint64_t seen = 0;
  std::uint64_t event = 0;
  bool first = true;
  // The first picture need not be empty.
  co_await feed_.scraped();
  if (feed_.data().tenants().empty()) co_await viewer.changed(feed_.version(), kFirst);
  for (;;) {
    const Session *const who = session(request);
    if (who == nullptr) {
      co_await write("event: logout\ndata: {}\n\n");
      co_return;
    }
    std::string text = ": still here\n\n";
    if (first || feed_.version() != seen) {
      seen = feed_.version();
      text = first ? "event: overview\ndata: " + overview_json(feed_.data(), *who) + "\n\n"
                   : "event: tick\ndata: " + tick_json(feed_.data(), *who) + "\n\n";
      if (!feed_.events().empty() && feed_.events().back().id > event) {
        text += "event: events\ndata: " + events_json(feed_.events(), event, *who) + "\n\n";
        event = feed_.events().back().id;
      }
    }
    first = false;
    if (!co_await write(std::move(text))) co_return;
    co_await viewer.changed(seen, kHeartbeat);
  }
}

}  // namespace paddock::dashboard
