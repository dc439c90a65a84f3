// Which tenant a request belongs to. Only the server's config decides: nothing that an .htaccess file, a
// header or a script can write takes part.
#pragma once

#include "apache/apache.h"
#include "apache/host.h"

namespace paddock::apache {

struct Binding {
  // Null: no tenant, and `why` says so for the log (with quoted names).
  const HostTenant *tenant = nullptr;
  const char *why = nullptr;
  int status = HTTP_SERVICE_UNAVAILABLE;  // what to answer then
};

// For map_to_storage, before any .htaccess is read: keeps the environment variable that PaddockTenantFrom env
// names.
void remember_environment(request_rec *r);

// r->finfo is the script's.
[[nodiscard]] Binding bind(request_rec *r, const Host &host);

}  // namespace paddock::apache
