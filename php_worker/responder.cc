#include "php_worker/responder.h"

#include "php_worker/programs/cgi_responder.h"
#include "php_worker/programs/fastcgi_responder.h"
#include "php_worker/sapi.h"

namespace paddock::php_worker {
namespace {

class PhpResponder final : public Responder {
 public:
  unsigned serve(Connection &connection, Params &params, void (*script_found)(const char *path)) override {
    return serve_request(connection, params, script_found);
  }
};

}  // namespace

std::unique_ptr<Responder> make_responder(const zygote_link::Program &program) {
  switch (program.kind) {
    case zygote_link::Kind::kFastcgi:
      return std::make_unique<programs::FastcgiResponder>(program);
    case zygote_link::Kind::kCgi:
      return std::make_unique<programs::CgiResponder>();
    case zygote_link::Kind::kPhp:
      break;
  }
  return std::make_unique<PhpResponder>();
}

}  // namespace paddock::php_worker
