// How PHP comes by the body of a POST that no parser of its own takes apart (forms are): from where the
// worker has collected it, as php://input, in place of a copy in a temporary file.
#pragma once

namespace paddock::php_worker {

// After php_module_startup().
void install_post_reader();

}  // namespace paddock::php_worker
