#include "apache/mod_php_names.h"

#include <array>

namespace paddock::apache {
namespace {

module empty_module(const char *name) {
  module made{};
  made.version = MODULE_MAGIC_NUMBER_MAJOR;
  made.minor_version = MODULE_MAGIC_NUMBER_MINOR;
  made.module_index = -1;
  made.name = name;
  made.magic = MODULE_MAGIC_COOKIE;
  return made;
}

struct Name {
  module stand_in;
  const char *symbol;
};

std::array<Name, 3> names = {{{empty_module("mod_php.c"), "php_module"},
                              {empty_module("mod_php7.c"), "php7_module"},
                              {empty_module("mod_php5.c"), "php5_module"}}};
bool added = false;

// With the config's pool, before this module is unloaded: httpd's list would point into nothing.
apr_status_t remove_names(void *) {
  if (!added) return APR_SUCCESS;
  added = false;
  // Backwards, since httpd numbers modules in the order of their coming.
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    ap_remove_loaded_module(&name->stand_in);
    name->stand_in.next =
        nullptr;  // left by httpd where another module has come since; it would not be added again
  }
  return APR_SUCCESS;
}

}  // namespace

const char *set_mod_php_names(cmd_parms *cmd, void *, int on) {
  if (on == 0 || added) return nullptr;
  if (ap_find_linked_module("mod_php.c") != nullptr) return "PaddockModPhpNames: mod_php itself is loaded";
  for (Name &name : names)
    if (const char *wrong = ap_add_loaded_module(&name.stand_in, cmd->pool, name.symbol); wrong != nullptr)
      return wrong;
  added = true;
  apr_pool_cleanup_register(cmd->pool, nullptr, remove_names, apr_pool_cleanup_null);
  return nullptr;
}

}  // namespace paddock::apache
