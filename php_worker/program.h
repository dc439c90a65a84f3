// The whole of paddock-php, whichever program it runs in.
#pragma once

namespace paddock::php_worker {

// argv: as the kernel laid it out; titles are written there.
int run_program(int argc, char **argv);

}  // namespace paddock::php_worker
