#include "php_worker/programs/fastcgi_responder.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "php_worker/programs/launch.h"
#include "php_worker/programs/program_output.h"
#include "php_worker/programs/program_request.h"
#include "php_worker/sapi.h"
#include "php_worker/vm_interrupt.h"
#include "protocols/fastcgi/params.h"
#include "protocols/fastcgi/record.h"

namespace paddock::php_worker::programs {
namespace {

using fastcgi::Exchange;
using std::chrono::milliseconds;

std::string request_head(const Params &params) {
  std::string pairs;
  for (const Params::Entry &entry : params.entries()) fastcgi::append_param(pairs, entry.name, entry.value);
  std::string head;
  // Not kept open: one connection a request costs a program little, and leaves nothing half read behind.
  fastcgi::append_begin_request(head, Exchange::kRequestId, fastcgi::Role::kResponder, 0);
  if (!pairs.empty()) fastcgi::append_record(head, fastcgi::Type::kParams, Exchange::kRequestId, pairs);
  fastcgi::append_record(head, fastcgi::Type::kParams, Exchange::kRequestId, {});
  return head;
}

bool is_same_file(const struct stat &a, const struct stat &b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

void log_error_output(std::span<const char> text) {
  std::string_view rest(text.data(), text.size());
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) log_line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

}  // namespace

FastcgiProgram *FastcgiResponder::program_of_command() {
  if (scripts_.empty()) {
    const char *home = std::getenv("HOME");
    auto made = FastcgiProgram::create(settings_.command, home == nullptr ? "/" : home);
    if (!made) {
      log_line(made.error().message());
      return nullptr;
    }
    scripts_.push_front({settings_.command.front(), {}, std::move(*made)});
  }
  return &scripts_.front().program;
}

FastcgiProgram *FastcgiResponder::program_of_script(const char *path, const struct stat &status) {
  const auto found =
      std::find_if(scripts_.begin(), scripts_.end(), [path](const Script &one) { return one.path == path; });
  if (found != scripts_.end() && is_same_file(found->status, status)) {
    scripts_.splice(scripts_.begin(), scripts_, found);
    return &scripts_.front().program;
  }
  if (found != scripts_.end()) scripts_.erase(found);  // it was changed: the program is of yesterday
  if (scripts_.size() == kMostScripts) scripts_.pop_back();
  auto made = FastcgiProgram::create({path}, directory_of(path));
  if (!made) {
    log_line(made.error().message());
    return nullptr;
  }
  scripts_.push_front({path, status, std::move(*made)});
  return &scripts_.front().program;
}

unsigned FastcgiResponder::serve(Connection &connection, Params &params,
                                 void (*script_found)(const char *path)) {
  const bool by_script = settings_.command.empty();
  const ProgramRequest request = take_program_request(connection, params, by_script);
  if (request.answered) return request.status;
  script_found(by_script ? request.script.path : settings_.command.front().c_str());
  if (!settings_.listen.empty()) return ask(nullptr, connection, params);
  FastcgiProgram *program =
      by_script ? program_of_script(request.script.path, request.script.status) : program_of_command();
  if (program != nullptr) {
    const auto running = program->ensure_running();
    if (running) return ask(program, connection, params);
    log_line(running.error().message());
  }
  ProgramOutput output(connection);
  output.end("it could not be started");
  return output.status();
}

Result<void> FastcgiResponder::connect(FastcgiProgram *program, Exchange &exchange) const {
  if (program != nullptr) return exchange.connect(program->address());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, settings_.listen.c_str(),
              std::min(settings_.listen.size(), sizeof address.sun_path - 1));
  constexpr milliseconds kPause{20};
  for (milliseconds waited{0};; waited += kPause) {
    auto connected = exchange.connect(address);
    if (connected || waited >= kStartPatience || is_late()) return connected;
    ::usleep(std::chrono::microseconds(kPause).count());
  }
}

unsigned FastcgiResponder::ask(FastcgiProgram *program, Connection &connection, const Params &params) {
  ProgramOutput output(connection);
  Exchange exchange;
  if (const auto connected = connect(program, exchange); !connected) {
    output.end(connected.error().message(), "503 Service Unavailable",
               "The program of this site is not there; the site's log says why.\n");
    return output.status();
  }
  RequestBody body(connection);
  exchange.start(request_head(params), body);
  const std::string why = exchange_with(program, exchange, output, connection);
  output.end_after(why, !why.empty() && body.failed());
  return output.status();
}

// To the end of the answer. What went wrong; empty: nothing.
std::string FastcgiResponder::exchange_with(FastcgiProgram *program, Exchange &exchange,
                                            ProgramOutput &output, const Connection &connection) {
  bool restarted = false;
  bool wanted = true;
  const auto unwanted = [&] { return std::string(connection.peer_gone() ? "" : "it is none"); };
  for (;;) {
    // On every turn: one that never pauses has a deadline too.
    if (is_late()) {
      // A shared one has other requests, and hears of it by the end of the connection.
      exchange.ask_to_abort();
      if (program != nullptr) program->end(milliseconds(kLatePatience));
      return std::string(kLate);
    }
    switch (exchange.next()) {
      case Exchange::Event::kOutput:
        if (!wanted || output.take(exchange.data())) continue;
        // The program is told, and finishes its request before the next one comes.
        wanted = false;
        exchange.ask_to_abort();
        if (program == nullptr) return unwanted();
        continue;
      case Exchange::Event::kError:
        log_error_output(exchange.data());
        continue;
      case Exchange::Event::kEnd:
        if (!wanted) return unwanted();
        return exchange.protocol_status() == 0 ? "" : "it could not take the request";
      case Exchange::Event::kBroken:
        if (program != nullptr && program->has_ended()) return "the program has ended";
        return std::string(exchange.problem());
      case Exchange::Event::kWait:
        break;
    }
    output.flush();
    pollfd entries[2] = {{exchange.fd(), exchange.wanted(), 0},
                         {program == nullptr ? -1 : program->pidfd().get(), POLLIN, 0}};
    const int ready = ::poll(entries, 2, kInterruptLook);
    tell_if_slow();
    // It ended without having accepted this connection, which waits in our socket: the next one takes it.
    // (One that ended with it in its hands has closed it, which next() finds.)
    if (ready > 0 && entries[0].revents == 0 && entries[1].revents != 0) {
      program->has_ended();
      if (std::exchange(restarted, true)) return "the program ends as it starts";
      if (const auto running = program->ensure_running(); !running) return running.error().message();
    }
  }
}

}  // namespace paddock::php_worker::programs
