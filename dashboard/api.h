// What is at which path.
//
//   GET  /, /assets/*             the pages: no secrets in them
//   GET  /metrics                 bearer: the metrics' or an admin's token
//   POST /api/login               {"token":…}: sets the cookie
//   POST /api/logout
//   GET  /api/session             who the cookie is; the value that actions must show
//   GET  /api/overview            page_json.h
//   GET  /api/live                text/event-stream of overview, tick, events
//   GET  /api/tenants/NAME        the supervisor's status of one, running requests and all
//   GET  /api/tenants/NAME/log    {"text":…}: the end of its log
//   GET  /api/rules               the abuse rules and what they did: admins
//   GET  /api/usage?…, /api/events?…   as in the control protocol (protocols/control/request.h)
//   POST /api/tenants/NAME/VERB   start, stop, restart, kill, freeze, thaw, block, unblock, throttle,
//   unthrottle: admins, with
//                                 X-Paddock-CSRF; the supervisor checks the admin's token once more
//
// What fails: {"error":{"code":…,"message":…}} with 400, 401, 403, 404, 405, 409, 413, 429, 502 or 503.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <set>
#include <string>

#include "dashboard/control_link.h"
#include "dashboard/feed.h"
#include "dashboard/http.h"
#include "dashboard/sessions.h"

namespace paddock::dashboard {

struct ApiOptions {
  std::string listen;      // "127.0.0.1:9180"
  std::string public_url;  // may be empty
};

class Api {
 public:
  Api(ApiOptions options, ControlLink &link, Feed &feed);

  boost::asio::awaitable<HttpResponse> answer(const HttpRequest &request);
  // After an answer with `stream`: writes events until write() says that the client has gone, or the session
  // ends.
  using Write = std::function<boost::asio::awaitable<bool>(std::string)>;
  boost::asio::awaitable<void> stream(const HttpRequest &request, Write write);
  // Whether a request comes from somebody who is logged in.
  [[nodiscard]] bool known(const HttpRequest &request) { return session(request) != nullptr; }

 private:
  [[nodiscard]] const Session *session(const HttpRequest &request);
  [[nodiscard]] bool allowed_origin(const HttpRequest &request) const;
  boost::asio::awaitable<HttpResponse> metrics_page(const HttpRequest &request);
  boost::asio::awaitable<HttpResponse> login(const HttpRequest &request);
  HttpResponse logout(const HttpRequest &request);
  boost::asio::awaitable<HttpResponse> tenant(const HttpRequest &request, std::string name,
                                              control::Command command);
  boost::asio::awaitable<HttpResponse> act(const HttpRequest &request, std::string name, std::string verb);
  boost::asio::awaitable<HttpResponse> books(const HttpRequest &request, control::Command command);
  boost::asio::awaitable<HttpResponse> ask(control::Request request, std::chrono::seconds patience);
  [[nodiscard]] std::string cookie(const std::string &value, std::chrono::seconds life) const;

  ApiOptions options_;
  ControlLink &link_;
  Feed &feed_;
  Sessions sessions_;
  LoginBrake brake_;
  int held_ = 0;
  std::set<std::string> hosts_;  // that browsers may call us: others are rebound names (DNS rebinding)
  std::set<std::string> origins_;
  std::string scraper_token_;  // the last that was good, until then
  Session::Clock::time_point scraper_until_{};
};

}  // namespace paddock::dashboard
