// Answers requests with FastCGI programs: the tenant's command, the script itself (as mod_fcgid does), or a
// program that the keeper has started for all workers (shared_program.h).
#pragma once

#include <chrono>
#include <list>
#include <string>

#include "php_worker/programs/fastcgi_program.h"
#include "php_worker/responder.h"
#include "protocols/fastcgi/exchange.h"

namespace paddock::php_worker::programs {

class ProgramOutput;

class FastcgiResponder final : public Responder {
 public:
  // Without a command each script has a program of its own; a worker keeps so many, and gives up the one that
  // was not asked for the longest.
  static constexpr std::size_t kMostScripts = 4;
  // For a shared program to begin listening.
  static constexpr std::chrono::seconds kStartPatience{15};

  // program: outlives this.
  explicit FastcgiResponder(const zygote_link::Program &program) : settings_(program) {}
  unsigned serve(Connection &connection, Params &params, void (*script_found)(const char *path)) override;

 private:
  struct Script {
    std::string path;
    struct stat status {};  // of the file when its program was started
    FastcgiProgram program;
  };

  FastcgiProgram *program_of_command();
  FastcgiProgram *program_of_script(const char *path, const struct stat &status);
  unsigned ask(FastcgiProgram *program, Connection &connection, const Params &params);
  Result<void> connect(FastcgiProgram *program, fastcgi::Exchange &exchange) const;
  std::string exchange_with(FastcgiProgram *program, fastcgi::Exchange &exchange, ProgramOutput &output,
                            const Connection &connection);

  const zygote_link::Program &settings_;
  std::list<Script> scripts_;  // the one that was asked last is the first
};

}  // namespace paddock::php_worker::programs
