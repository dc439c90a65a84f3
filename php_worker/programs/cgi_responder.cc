#include "php_worker/programs/cgi_responder.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include "base/process.h"
#include "php_worker/programs/launch.h"
#include "php_worker/programs/program_output.h"
#include "php_worker/programs/program_request.h"
#include "php_worker/vm_interrupt.h"

namespace paddock::php_worker::programs {
namespace {

constexpr std::size_t kPiece = 64 * 1024;
// Before it is looked whether the script is late: one that never pauses has a deadline too.
constexpr int kReadsPerTurn = 16;

struct Pipes {
  UniqueFd body;         // ours: written
  UniqueFd answer;       // ours: read
  UniqueFd script_body;  // the script's
  UniqueFd script_answer;
};

Result<Pipes> make_pipes() {
  int body[2];
  int answer[2];
  if (::pipe2(body, O_CLOEXEC) != 0) return errno_error("make a script's pipe");
  Pipes pipes;
  pipes.script_body.reset(body[0]);
  pipes.body.reset(body[1]);
  if (::pipe2(answer, O_CLOEXEC) != 0) return errno_error("make a script's pipe");
  pipes.answer.reset(answer[0]);
  pipes.script_answer.reset(answer[1]);
  // Only our ends: what a script does not expect is an end that says EAGAIN.
  for (const UniqueFd *end : {&pipes.body, &pipes.answer})
    if (::fcntl(end->get(), F_SETFL, O_NONBLOCK) != 0)
      return errno_error("make a script's pipe non-blocking");
  return pipes;
}

// Writes the body as the script reads it, and closes at its end.
class BodyWriter {
 public:
  BodyWriter(UniqueFd pipe, RequestBody &body) : pipe_(std::move(pipe)), body_(body) {}
  [[nodiscard]] int fd() const { return pipe_.get(); }

  void write() {
    while (pipe_.valid()) {
      if (at_ == piece_.size() && !body_.at_end()) {
        piece_ = body_.take(kPiece);
        at_ = 0;
      }
      if (at_ == piece_.size()) return pipe_.reset();
      const ssize_t done = ::write(pipe_.get(), piece_.data() + at_, piece_.size() - at_);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0 && errno == EAGAIN) return;
      if (done < 0) return pipe_.reset();  // the script does not want it
      at_ += static_cast<std::size_t>(done);
    }
  }

 private:
  UniqueFd pipe_;
  RequestBody &body_;
  std::string piece_;
  std::size_t at_ = 0;
};

enum class Read : std::uint8_t { kMore, kEnd, kUnwanted };

Read read_answer(const UniqueFd &pipe, ProgramOutput &output) {
  std::array<char, 16 * 1024> bytes;
  for (int reads = 0; reads < kReadsPerTurn; ++reads) {
    const ssize_t got = ::read(pipe.get(), bytes.data(), bytes.size());
    if (got > 0 && !output.take({bytes.data(), static_cast<std::size_t>(got)})) return Read::kUnwanted;
    if (got > 0) continue;
    if (got < 0 && errno == EINTR) continue;
    return got < 0 && errno == EAGAIN ? Read::kMore : Read::kEnd;
  }
  return Read::kMore;
}

// Until the script has closed its standard output. What went wrong; empty: nothing.
std::string converse(Pipes &pipes, RequestBody &body, ProgramOutput &output, const Connection &connection) {
  BodyWriter writer(std::move(pipes.body), body);
  for (;;) {
    writer.write();
    if (body.failed()) return "the request's body did not come";
    switch (read_answer(pipes.answer, output)) {
      case Read::kEnd:
        return {};
      case Read::kUnwanted:
        return connection.peer_gone() ? "nobody wants it" : "it is none";
      case Read::kMore:
        break;
    }
    output.flush();
    pollfd entries[2] = {{pipes.answer.get(), POLLIN, 0}, {writer.fd(), POLLOUT, 0}};
    ::poll(entries, 2, kInterruptLook);
    tell_if_slow();
    if (is_late()) return std::string(kLate);
  }
}

// One that goes on after its answer has the worker, as PHP has after fastcgi_finish_request(). What it has
// left in the background is left alone.
void wait_for_end(Child &script) {
  pollfd entry{script.pidfd().get(), POLLIN, 0};
  while (::poll(&entry, 1, kInterruptLook) <= 0) {
    tell_if_slow();
    if (is_late()) return end_program(script, kLatePatience);
  }
  [[maybe_unused]] const auto reaped = script.try_reap();
}

}  // namespace

unsigned CgiResponder::serve(Connection &connection, Params &params, void (*script_found)(const char *path)) {
  const ProgramRequest request = take_program_request(connection, params, true);
  if (request.answered) return request.status;
  const std::string path = request.script.path;
  script_found(request.script.path);
  ProgramOutput output(connection);
  auto pipes = make_pipes();
  if (!pipes) {
    output.end(pipes.error().message());
    return output.status();
  }
  if (params.get("GATEWAY_INTERFACE").empty()) params.set("GATEWAY_INTERFACE", "CGI/1.1");
  SpawnOptions options;
  options.arguments = {path};
  options.environment = program_environment(&params);
  options.fds = {{pipes->script_body, STDIN_FILENO}, {pipes->script_answer, STDOUT_FILENO}};
  options.directory = directory_of(path);
  options.own_group = true;
  auto script = spawn(options);
  pipes->script_body.reset();
  pipes->script_answer.reset();
  if (!script) {
    output.end(script.error().message());
    return output.status();
  }
  RequestBody body(connection);
  const std::string why = converse(*pipes, body, output, connection);
  if (why == kLate) {
    end_program(*script, kLatePatience);
    output.end_after(why, false);
    return output.status();
  }
  output.end_after(connection.peer_gone() && !body.failed() ? "" : why, body.failed());
  if (why.empty()) {
    wait_for_end(*script);
  } else {
    end_program(*script, kLatePatience);
  }
  return output.status();
}

}  // namespace paddock::php_worker::programs
