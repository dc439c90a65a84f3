// What PHP is told of a request: the CGI environment as mod_php gives it, in FastCGI's records.
#pragma once

#include <string>

#include "apache/apache.h"
#include "apache/body.h"

namespace paddock::apache {

// BEGIN_REQUEST, the php_… settings and PARAMS. Sets r->subprocess_env on the way, as every CGI-like handler
// does.
[[nodiscard]] std::string request_head(request_rec *r, const Body &body);

// Variables that an internal redirect has renamed to REDIRECT_NAME (as often as there were redirects) get
// their own name back where nobody has set that since; the renamed ones stay. For r->subprocess_env.
void restore_environment(request_rec *r);

}  // namespace paddock::apache
