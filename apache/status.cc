#include "apache/status.h"

#include <mod_status.h>

#include "apache/admission.h"
#include "apache/apache.h"

namespace paddock::apache {
namespace {

int show(request_rec *r, int flags) {
  const bool plain = (flags & AP_STATUS_SHORT) != 0;
  if (!plain)
    ap_rputs(
        "<hr />\n<h2>Paddock</h2>\n<table border=\"0\"><tr><th>Tenant</th><th>Requests</th><th>of them "
        "suspended</th><th>Taken</th><th>Refused</th></tr>\n",
        r);
  for (const Admission::Figures &of : Admission::figures()) {
    const char *name = ap_escape_html(r->pool, apr_pstrmemdup(r->pool, of.tenant.data(), of.tenant.size()));
    ap_rprintf(r,
               plain ? "Paddock-%s: %u %u %" APR_UINT64_T_FMT " %" APR_UINT64_T_FMT "\n"
                     : "<tr><td>%s</td><td>%u</td><td>%u</td><td>%" APR_UINT64_T_FMT
                       "</td><td>%" APR_UINT64_T_FMT "</td></tr>\n",
               name, of.requests, of.suspended, static_cast<apr_uint64_t>(of.served),
               static_cast<apr_uint64_t>(of.refused));
  }
  if (!plain) ap_rputs("</table>\n", r);
  return OK;
}

}  // namespace

void register_status() {
  APR_OPTIONAL_HOOK(ap, status_hook, show, nullptr, nullptr, APR_HOOK_MIDDLE);
}

}  // namespace paddock::apache
