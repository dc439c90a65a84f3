#include "apache/binding.h"

#include <sys/stat.h>

#include "apache/request_state.h"
#include "apache/settings.h"
#include "base/log.h"

namespace paddock::apache {
namespace {

request_rec *first_request(request_rec *r) {
  for (;;) {
    if (r->main != nullptr) {
      r = r->main;
    } else if (r->prev != nullptr) {
      r = r->prev;
    } else {
      return r;
    }
  }
}

Binding nobody(request_rec *r, const std::string &why, int status = HTTP_SERVICE_UNAVAILABLE) {
  return {nullptr, apr_pstrdup(r->pool, why.c_str()), status};
}

Binding named(request_rec *r, const Host &host, const char *name, const char *from) {
  if (name == nullptr || *name == '\0') return nobody(r, std::string("no tenant: ") + from);
  const HostTenant *tenant = host.find(std::string_view(name));
  if (tenant == nullptr) return nobody(r, "no tenant " + log::quoted(name) + " in Paddock's config");
  return {tenant, nullptr, OK};
}

// The script and the directory that the site is in must belong to the same tenant: neither a file that was
// put into somebody's site, nor a link from there to somebody else's script, runs as its owner.
Binding by_owner(request_rec *r, const Host &host) {
  struct stat root {};
  const char *directory = ap_context_document_root(r);
  if ((r->finfo.valid & APR_FINFO_USER) == 0 || ::stat(directory, &root) != 0)
    return nobody(r, "the owner of " + log::quoted(directory) + " is not known");
  if (root.st_uid != r->finfo.user)
    return nobody(r,
                  log::quoted(r->filename) + " belongs to uid " + std::to_string(r->finfo.user) +
                      ", its site to " + std::to_string(root.st_uid),
                  HTTP_FORBIDDEN);
  const HostTenant *tenant = host.find(root.st_uid);
  if (tenant == nullptr)
    return nobody(r, "uid " + std::to_string(root.st_uid) + " belongs to no tenant, or to several",
                  HTTP_FORBIDDEN);
  return {tenant, nullptr, OK};
}

}  // namespace

void remember_environment(request_rec *r) {
  if (r->prev != nullptr || r->main != nullptr) return;
  // Of the <Directory> sections nothing is known yet: all of them look at the same environment.
  request_state(r).environment = apr_table_copy(r->pool, r->subprocess_env);
}

Binding bind(request_rec *r, const Host &host) {
  const DirSettings &settings = dir_settings(r);
  switch (settings.source) {
    case Source::kUnset:
    case Source::kNone:
      break;
    case Source::kName:
      return named(r, host, settings.tenant, "PaddockTenant is empty");
    case Source::kOwner:
      return by_owner(r, host);
    case Source::kMap: {
      char *name = apr_pstrdup(r->pool, r->hostname == nullptr ? "" : r->hostname);
      ap_str_tolower(name);
      const auto *tenant = static_cast<const char *>(apr_hash_get(settings.map, name, APR_HASH_KEY_STRING));
      if (tenant == nullptr) return nobody(r, "the map does not know the host " + log::quoted(name));
      return named(r, host, tenant, "the map's entry is empty");
    }
    case Source::kEnvironment: {
      const apr_table_t *then = request_state(first_request(r)).environment;
      return named(r, host, then == nullptr ? nullptr : apr_table_get(then, settings.tenant),
                   "the environment variable is not set by the server's config");
    }
  }
  return nobody(r, "no PaddockTenant here");
}

}  // namespace paddock::apache
