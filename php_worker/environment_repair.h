// What web servers do to a request's variables on its way, undone: scripts see what they saw under mod_php.
#pragma once

#include "php_worker/params.h"
#include "protocols/zygote_link/zygote_link.h"

namespace paddock::php_worker {

// Right after the params were decoded; locate_script() does the rest. `repairs` are zygote_link::Repair bits.
//
// kRedirect: Apache puts REDIRECT_ before the variables of a request that it redirects inside (mod_rewrite in
//   .htaccess, ErrorDocument), once for each time. NAME is there again, unless something else is. What
//   belongs to the request that failed (CGI's own variables, its headers) and what Apache says about the
//   redirect (REDIRECT_STATUS, REDIRECT_URL) stays where it is.
// kAuthorization: REDIRECT_HTTP_AUTHORIZATION, and HTTP_AUTHORIZATION that a rewrite rule has set to nothing.
// kSlashes: "//" in SCRIPT_FILENAME and PATH_TRANSLATED.
// kProxyPrefix: in PATH_TRANSLATED (in SCRIPT_FILENAME, locate_script() sees to it).
void repair_environment(Params &params, std::uint32_t repairs);

}  // namespace paddock::php_worker
