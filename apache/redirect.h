// Internal redirects of RewriteRule in .htaccess, made so that what they lead to can be suspended.
#pragma once

#include "apache/apache.h"

namespace paddock::apache {

// A handler: does mod_rewrite's "redirect-handler" in its place where a site's PHP is ours. DECLINED for all
// else.
int redirect(request_rec *r);

}  // namespace paddock::apache
