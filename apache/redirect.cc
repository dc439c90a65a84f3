#include "apache/redirect.h"

#include <cstring>

#include "apache/request_state.h"
#include "apache/settings.h"
#include "apache/suspension.h"

namespace paddock::apache {
namespace {

// mod_rewrite.h
constexpr const char *kHandler = "redirect-handler";
constexpr const char *kPrefix = "redirect:";

}  // namespace

int redirect(request_rec *r) {
  if (r->handler == nullptr || std::strcmp(r->handler, kHandler) != 0 ||
      std::strncmp(r->filename, kPrefix, std::strlen(kPrefix)) != 0)
    return DECLINED;
  const Source source = dir_settings(r).source;
  if (source == Source::kUnset || source == Source::kNone) return DECLINED;
  RequestState &state = request_state(r);
  state.redirected_by_us = true;
  ap_internal_redirect(apr_pstrcat(r->pool, r->filename + std::strlen(kPrefix),
                                   r->args != nullptr ? "?" : nullptr, r->args, nullptr),
                       r);
  if (is_being_suspended(r->connection)) return pass_suspension_on(r);
  state.redirected_by_us = false;
  return OK;
}

}  // namespace paddock::apache
