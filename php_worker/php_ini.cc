#include "php_worker/php_ini.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "php_worker/htaccess_settings.h"
#include "php_worker/php_headers.h"
#include "php_worker/sapi.h"
#include "php_worker/user_ini.h"
#include "php_worker/web_settings.h"

#if PHP_VERSION_ID >= 80200
#include <ext/random/php_random.h>
#else
#include <ext/standard/php_lcg.h>
#include <ext/standard/php_mt_rand.h>
#endif

namespace paddock::php_worker {
namespace {

zygote_link::IniFromWeb from_web = zygote_link::IniFromWeb::kValue;
// Names that the plan has set as admin. PHP itself refuses PHP_VALUE for them (they are PHP_INI_SYSTEM then),
// not PHP_ADMIN_VALUE.
std::set<std::string, std::less<>> &locked_names() {
  static std::set<std::string, std::less<>> names;
  return names;
}

constexpr std::string_view kDisableFunctions = "disable_functions";
constexpr std::string_view kDisableClasses = "disable_classes";
// PHP looks at these when it starts only: for one request they would do nothing, or undo a lock of memory
// that opcache has not made.
constexpr std::array kNotForOneRequest{kDisableFunctions, kDisableClasses,
                                       std::string_view("opcache.protect_memory")};

bool settable_for_request(std::string_view name) {
  return !locked_names().contains(name) &&
         std::find(kNotForOneRequest.begin(), kNotForOneRequest.end(), name) == kNotForOneRequest.end();
}

void disable_classes(std::string_view names) {
  constexpr std::string_view kBetween = " ,";
  while (!names.empty()) {
    const std::size_t end = std::min(names.find_first_of(kBetween), names.size());
    if (end > 0) zend_disable_class(names.data(), end);
    names.remove_prefix(std::min(end + 1, names.size()));
  }
}

// Sets an entry for the life of the process, as the php.ini would have: no request's end undoes it.
bool set_for_good(const zygote_link::IniEntry &entry) {
  // Beside those of php.ini, which PHP has taken out as it started.
  if (entry.name == kDisableFunctions) zend_disable_functions(entry.value.c_str());
  if (entry.name == kDisableClasses) disable_classes(entry.value);
  auto *found = static_cast<zend_ini_entry *>(
      zend_hash_str_find_ptr(EG(ini_directives), entry.name.data(), entry.name.size()));
  if (found == nullptr) return false;
  // Persistent and not interned: what is interned after PHP's start ends with the request.
  zend_string *value = zend_string_init(entry.value.data(), entry.value.size(), true);
  if (found->on_modify != nullptr && found->on_modify(found, value, found->mh_arg1, found->mh_arg2,
                                                      found->mh_arg3, PHP_INI_STAGE_ACTIVATE) != SUCCESS)
    return false;
  found->value = value;
  if (entry.admin) found->modifiable = PHP_INI_SYSTEM;
  return true;
}

void set_from_web(zval *name, zval *value, zval *, int kind, void *as_admin) {
  if (kind != ZEND_INI_PARSER_ENTRY || name == nullptr || value == nullptr || Z_TYPE_P(value) != IS_STRING)
    return;
  const bool admin = *static_cast<bool *>(as_admin);
  const std::string_view key(Z_STRVAL_P(name), Z_STRLEN_P(name));
  if (!settable_for_request(key) ||
      zend_alter_ini_entry_chars(Z_STR_P(name), Z_STRVAL_P(value), Z_STRLEN_P(value),
                                 admin ? PHP_INI_SYSTEM : PHP_INI_PERDIR,
                                 admin ? PHP_INI_STAGE_ACTIVATE : PHP_INI_STAGE_HTACCESS) != SUCCESS)
    log_line("the web server may not set this ini entry", key);
}

void apply_text(const char *text, bool admin) {
  char *with_newline = nullptr;
  spprintf(&with_newline, 0, "%s\n", text);  // the parser wants a line's end
  zend_parse_ini_string(with_newline, true, ZEND_INI_SCANNER_NORMAL, set_from_web, &admin);
  efree(with_newline);
}

}  // namespace

std::vector<std::string> apply_plan(const std::vector<zygote_link::IniEntry> &ini,
                                    zygote_link::IniFromWeb ini_from_web) {
  from_web = ini_from_web;
  std::vector<std::string> refused;
  for (const zygote_link::IniEntry &entry : ini) {
    bool set = false;
    zend_first_try {
      set = set_for_good(entry);
    }
    zend_end_try();
    if (!set) refused.push_back(entry.name);
    if (entry.admin) locked_names().insert(entry.name);
  }
  return refused;
}

bool set_for_request(std::string_view name, std::string_view value, bool admin, bool htaccess) {
  if (!settable_for_request(name)) return false;
  zend_string *key = zend_string_init(name.data(), name.size(), false);
  const auto result =
      zend_alter_ini_entry_chars(key, value.data(), value.size(), admin ? PHP_INI_SYSTEM : PHP_INI_PERDIR,
                                 htaccess ? PHP_INI_STAGE_HTACCESS : PHP_INI_STAGE_ACTIVATE);
  zend_string_release(key);
  return result == SUCCESS;
}

void apply_request_ini(const Params &params, const char *script) {
  apply_user_ini(params.find("DOCUMENT_ROOT"), script);
  apply_htaccess();
  apply_web_settings();
  if (from_web == zygote_link::IniFromWeb::kNone) return;
  // The admin's first: what it sets, PHP_VALUE cannot change back.
  if (from_web == zygote_link::IniFromWeb::kAdmin)
    if (const char *text = params.find("PHP_ADMIN_VALUE"); text != nullptr) apply_text(text, true);
  if (const char *text = params.find("PHP_VALUE"); text != nullptr) apply_text(text, false);
}

void reseed_random() {
  unsigned int seeds[3] = {};
  if (::getrandom(seeds, sizeof seeds, 0) != sizeof seeds) return;
  ::srandom(seeds[0]);
  ::srand48(static_cast<long>(seeds[1]));
#if PHP_VERSION_ID < 80200
  LCG(seeded) = 0;
  BG(mt_rand_is_seeded) = 0;
#elif PHP_VERSION_ID < 80400
  RANDOM_G(combined_lcg_seeded) = false;
  RANDOM_G(mt19937_seeded) = false;
  // The LCG's own seed is the time and the pid, and pids are small and alike in every sandbox.
  auto *lcg = static_cast<php_random_status_state_combinedlcg *>(RANDOM_G(combined_lcg)->state);
  lcg->state[0] = static_cast<std::int32_t>(seeds[1] | 1U);
  lcg->state[1] = static_cast<std::int32_t>(seeds[2] | 1U);
  RANDOM_G(combined_lcg_seeded) = true;
#else
  // Unseeded: since 8.4 both are seeded from getrandom(2) when first used.
  RANDOM_G(combined_lcg_seeded) = false;
  RANDOM_G(mt19937_seeded) = false;
#endif
}

}  // namespace paddock::php_worker
