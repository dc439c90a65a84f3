// <IfModule mod_php.c> and its kin, made true: sites that ask for mod_php mean php_value, which we have.
#pragma once

#include "apache/apache.h"

namespace paddock::apache {

// The command handler of PaddockModPhpNames; runs while the config is being read, so that sections below it
// see it.
const char *set_mod_php_names(cmd_parms *cmd, void *, int on);

}  // namespace paddock::apache
