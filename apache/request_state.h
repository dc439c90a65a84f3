// What the module knows of a request beyond the handler that runs: in r->request_config.
#pragma once

#include "apache/apache.h"

namespace paddock::apache {

struct RequestState {
  apr_table_t *environment =
      nullptr;  // subprocess_env as the server's config has left it, before any .htaccess
  // Our redirect handler has made the internal redirect that this request ends in (redirect.h): it can be
  // suspended.
  bool redirected_by_us = false;
};

// Never fails; allocated in the request's pool when first asked for.
[[nodiscard]] RequestState &request_state(request_rec *r);

}  // namespace paddock::apache
