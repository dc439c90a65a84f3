// paddock-php, the program on libphp.
#include "php_worker/php_program.h"
#include "php_worker/program.h"
#include "php_worker/title.h"

int main(int argc, char **argv) {
  using namespace paddock::php_worker;
  if (!has_title_space(argc, argv)) execute_with_title_space(php_program().c_str(), argc, argv);
  return run_program(argc, argv);
}
