#include "php_worker/sapi.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/file.h"
#include "php_worker/htaccess_settings.h"
#include "php_worker/php_headers.h"
#include "php_worker/php_ini.h"
#include "php_worker/post_reader.h"
#include "php_worker/request_figures.h"
#include "php_worker/request_intake.h"
#include "php_worker/response_headers.h"
#include "php_worker/sapi_module.h"
#include "php_worker/sapi_request.h"
#include "php_worker/script_path.h"
#include "php_worker/vm_interrupt.h"
#include "php_worker/web_settings.h"

// PHP leaves a failed request by longjmp(3), over every frame between the failure and zend_try: the callbacks
// below, and serve_request(), hold nothing that has a destructor across a call into PHP.
namespace paddock::php_worker {
namespace {

SapiRequest request;
void (*import_process_environment)(zval *array) = nullptr;
std::string ini_entries;
std::string ini_dir;
zygote_link::Serving how_to_serve;

void client_has_gone() {
  php_handle_aborted_connection();
}

size_t write_output(const char *text, size_t size) {
  if (request.connection == nullptr) return size;
  if (!request.connection->write(text, size)) client_has_gone();
  return size;
}

void flush_output(void *context) {
  if (context == nullptr || request.connection == nullptr) return;
  if (!request.connection->flush()) client_has_gone();
}

int send_headers(sapi_headers_struct *headers) {
  request.status = write_response_headers(*request.connection, *headers);
  return SAPI_HEADER_SENT_SUCCESSFULLY;
}

size_t read_post(char *to, size_t size) {
  if (request.connection == nullptr || request.input_closed) return 0;
  if (request.content_length >= 0) {
    const auto left = static_cast<size_t>(request.content_length - request.body_read);
    if (left < size) size = left;
  }
  const size_t got = request.connection->read_body(to, size);
  request.body_read += static_cast<std::int64_t>(got);
  return got;
}

char *read_cookies() {
  return const_cast<char *>(request.params->find("HTTP_COOKIE"));
}

char *get_environment(const char *name, size_t size) {
  if (request.params == nullptr) return nullptr;
  return const_cast<char *>(request.params->find({name, size}));
}

// ext/filter registers what it is told of in $_SERVER or $_ENV itself, whatever `array` is.
void register_text(std::string_view name, std::string_view value, zval *array) {
  char *text = const_cast<char *>(value.data());
  size_t size = value.size();
  const auto is = [array](int which) {
    const zval &globals = PG(http_globals)[which];
    return Z_TYPE(globals) == IS_ARRAY && Z_ARR_P(array) == Z_ARR(globals);
  };
  const bool environment = is(TRACK_VARS_ENV);
  const bool filtered = environment || is(TRACK_VARS_SERVER);
  if (!filtered ||
      sapi_module.input_filter(environment ? PARSE_ENV : PARSE_SERVER, name.data(), &text, size, &size) != 0)
    php_register_variable_safe(name.data(), text, size, array);
}

// For $_SERVER, $_ENV and getenv() without a name: the process's environment, then the request's params.
void import_environment(zval *array) {
  import_process_environment(array);
  if (request.params == nullptr) return;
  for (const Params::Entry &entry : request.params->entries()) register_text(entry.name, entry.value, array);
}

void register_server_variables(zval *array) {
  import_environment(array);
  const std::string_view script_name = request.params->get("SCRIPT_NAME");
  const std::string_view path_info = request.params->get("PATH_INFO");
  if (!module_settings().fix_pathinfo || path_info.empty()) {
    register_text("PHP_SELF", path_info.empty() ? script_name : path_info, array);
    return;
  }
  const size_t size = script_name.size() + path_info.size();
  auto *whole = static_cast<char *>(emalloc(size + 1));
  std::memcpy(whole, script_name.data(), script_name.size());
  std::memcpy(whole + script_name.size(), path_info.data(), path_info.size());
  whole[size] = '\0';
  register_text("PHP_SELF", {whole, size}, array);
  efree(whole);
}

void log_message(const char *message, int) {
  log_line(message);
}

zend_result request_time(double *seconds) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  *seconds = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  return SUCCESS;
}

zend_stat_t *script_status() {
  return &request.script_status;
}

bool forked_by_script = false;

// pcntl_fork() in a script: the child has a copy of everything, the answer and the place among the workers
// included, which are the parent's.
void forget_answer() {
  if (request.connection == nullptr) return;
  forked_by_script = true;
  request.connection->leave_answer();
}

int end_of_request() {
  // Not exit(3): what would be flushed is the parent's.
  if (forked_by_script) ::_exit(EG(exit_status));
  if (request.connection != nullptr) finish_answer(*request.connection);
  return SUCCESS;
}

int startup_unused(sapi_module_struct *) {
  return SUCCESS;
}

sapi_module_struct make_module() {
  sapi_module_struct module{};
  static char name[] = "fpm-fcgi";
  static char pretty_name[] = "FPM/FastCGI";
  module.name = name;
  module.pretty_name = pretty_name;
  module.startup = startup_unused;
  module.shutdown = php_module_shutdown_wrapper;
  module.deactivate = end_of_request;
  module.ub_write = write_output;
  module.flush = flush_output;
  module.get_stat = script_status;
  module.getenv = get_environment;
  module.sapi_error = php_error;
  module.send_headers = send_headers;
  module.read_post = read_post;
  module.read_cookies = read_cookies;
  module.register_server_variables = register_server_variables;
  module.log_message = log_message;
#if PHP_VERSION_ID >= 80200
  module.get_request_time = request_time;
#endif
  return module;
}

sapi_module_struct module = make_module();

// Scripts find their files relative to their own directory.
void enter_directory_of(const char *path) {
  char directory[PATH_MAX];
  const char *slash = std::strrchr(path, '/');
  const auto size = slash == path ? 1 : static_cast<size_t>(slash - path);
  if (size >= sizeof directory) return;
  std::memcpy(directory, path, size);
  directory[size] = '\0';
  if (::chdir(directory) != 0) log_line("cannot enter the script's directory", directory);
}

void fill_request_info(const char *path) {
  const Params &params = *request.params;
  SG(server_context) = &request;
  SG(sapi_headers).http_response_code = 200;
  EG(exit_status) = 0;  // PHP leaves that of the request before
  SG(request_info).request_method = params.find("REQUEST_METHOD");
  SG(request_info).query_string = const_cast<char *>(params.get("QUERY_STRING").data());
  SG(request_info).request_uri = const_cast<char *>(params.find("SCRIPT_NAME"));
  SG(request_info).path_translated = const_cast<char *>(path);
  const std::string_view type = params.get("CONTENT_TYPE");
  SG(request_info).content_type = type.empty() ? nullptr : type.data();
  SG(request_info).content_length = request.content_length < 0 ? 0 : request.content_length;
  SG(request_info).proto_num = params.get("SERVER_PROTOCOL") == "HTTP/1.0" ? 1000 : 1001;
  SG(request_info).auth_user = nullptr;
  SG(request_info).auth_password = nullptr;
  SG(request_info).auth_digest = nullptr;
  php_handle_auth_data(params.find("HTTP_AUTHORIZATION"));
}

// fastcgi.error_header: so that a web server can tell a script that has failed.
void replace_status_of_failure() {
  constexpr int kFailed = 255;  // of an uncaught exception, and a fatal error
  const char *header = module_settings().error_header;
  if (EG(exit_status) != kFailed || header == nullptr || *header == '\0' || SG(headers_sent)) return;
  sapi_header_line line{};
  line.line = header;
  line.line_len = std::strlen(header);
  sapi_header_op(SAPI_HEADER_REPLACE, &line);
}

void run_script(const char *path) {
  zend_file_handle file;
  zend_stream_init_filename(&file, path);
  file.primary_script = true;
  enter_directory_of(path);
  php_execute_script(&file);
  zend_destroy_file_handle(&file);
  replace_status_of_failure();
}

void run_php(const char *path) {
  zend_first_try {
    fill_request_info(path);
    apply_request_ini(*request.params, path);
    if (!module_settings().engine) {
      request.engine_off = true;
    } else if (php_request_startup() == SUCCESS) {
      // Half a form must not be acted upon. Who sent it is gone, or tells lies about its length.
      if (!request.connection->problem().empty()) {
        SG(sapi_headers).http_response_code = 400;
      } else if (request.body_read < request.content_length && request.connection->body_complete()) {
        SG(sapi_headers).http_response_code = 400;
        PUTS("Bad request.\n");
      } else {
        run_script(path);
      }
    } else {
      log_line("the request could not be started");
    }
  }
  zend_catch {
    log_line("the request ended outside of its script");
  }
  zend_end_try();
  zend_first_try {
    // No request was started that could be shut down: only the ini entries are put back.
    if (request.engine_off) {
      zend_ini_deactivate();
    } else {
      php_request_shutdown(nullptr);
    }
  }
  zend_end_try();
}

ScriptRule script_rule() {
  if (!module_settings().fix_pathinfo)
    return module_settings().discard_path ? ScriptRule::kAsSent : ScriptRule::kTranslated;
  return (how_to_serve.repairs & zygote_link::kPathInfo) != 0 ? ScriptRule::kSplit : ScriptRule::kAsSent;
}

// The status of what was answered; 0: nothing, the script is to run.
unsigned refused_by_htaccess(Connection &connection, const Params &params, const char *path) {
  switch (how_to_serve.htaccess ? read_htaccess(params, path) : HtaccessVerdict::kServe) {
    case HtaccessVerdict::kServe:
      return 0;
    case HtaccessVerdict::kForbidden:
      return answer_plainly(connection, "403 Forbidden", "Access denied.\n");
    case HtaccessVerdict::kBroken:
      break;
  }
  return answer_plainly(connection, "500 Internal Server Error",
                        "The configuration of this site has an error; the site's log says where.\n");
}

}  // namespace

void set_serving(const zygote_link::Serving &serving) {
  how_to_serve = serving;
}

const zygote_link::Serving &serving() {
  return how_to_serve;
}

void finish_answer(Connection &connection) {
  if (connection.finished()) return;
  if (!connection.has_settings()) {
    connection.finish();
  } else {
    const fastcgi::Figures figures = figures_so_far();
    connection.finish(&figures);
  }
}

SapiRequest *current_request() {
  return request.connection == nullptr ? nullptr : &request;
}

void log_line(std::string_view what, std::string_view detail) {
  char line[8192];
  size_t size = 0;
  const auto append = [&](std::string_view text) {
    const size_t taken = text.size() < sizeof line - 1 - size ? text.size() : sizeof line - 1 - size;
    std::memcpy(line + size, text.data(), taken);
    size += taken;
  };
  append(what);
  if (!detail.empty()) {
    append(": ");
    append(detail);
  }
  line[size++] = '\n';
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line, size);
}

Result<void> start_php(const PhpOptions &options) {
  for (const auto &[name, value] : options.ini) ini_entries += name + "=" + value + "\n";
  ini_dir = options.ini_dir;
  if (!ini_dir.empty()) {
    module.php_ini_path_override = ini_dir.data();
    ::setenv("PHP_INI_SCAN_DIR", (ini_dir + "/conf.d").c_str(), 1);
  }

  ::signal(SIGPIPE, SIG_IGN);
  zend_signal_startup();
  sapi_startup(&module);  // forgets ini_entries that were there before
  module.ini_entries = ini_entries.empty() ? nullptr : ini_entries.data();
#if PHP_VERSION_ID >= 80200
  const zend_result started = php_module_startup(&module, fastcgi_module());
#else
  const int started = php_module_startup(&module, fastcgi_module(), 1);
#endif
  ::unsetenv("PHP_INI_SCAN_DIR");
  if (started != SUCCESS) return Error{"start PHP's modules"};
  hook_vm_interrupt();
  install_post_reader();
  import_process_environment = php_import_environment_variables;
  php_import_environment_variables = import_environment;
  // The script's directory is entered by run_script(): one chdir(2) instead of getcwd and two of them.
  SG(options) |= SAPI_OPTION_NO_CHDIR;
  return {};
}

std::string php_version() {
  return PHP_VERSION;
}

std::string_view powered_by() {
  return PG(expose_php) ? SAPI_PHP_VERSION_HEADER "\r\n" : std::string_view();
}

void prepare_worker_php() {
  // Again: the sandbox has reset what start_php() set. A script that writes to a peer that has gone gets an
  // error.
  ::signal(SIGPIPE, SIG_IGN);
#ifdef ZEND_SIGNALS
  // Seven rt_sigaction(2) a request otherwise, to install what is installed.
  SIGG(reset) = 0;
#endif
  reseed_random();
  ::pthread_atfork(nullptr, nullptr, forget_answer);
}

unsigned serve_request(Connection &connection, Params &params, void (*script_found)(const char *path)) {
  const Intake intake = take_request(connection, params);
  if (intake.answered) return intake.status;
  const Script script =
      locate_script(params, script_rule(), (how_to_serve.repairs & zygote_link::kProxyPrefix) != 0);
  if (script.outcome == Script::Outcome::kMissing) {
    log_line("Primary script unknown", script.path == nullptr ? "no SCRIPT_FILENAME" : script.path);
    return answer_plainly(connection, "404 Not Found", "File not found.\n");
  }
  if (script.outcome == Script::Outcome::kForbidden ||
      !extension_allowed(script.path, module_settings().limit_extensions)) {
    log_line(script.outcome == Script::Outcome::kForbidden
                 ? "Access denied: a directory, or not readable"
                 : "Access denied: the extension is not in paddock.limit_extensions",
             script.path);
    return answer_plainly(connection, "403 Forbidden", "Access denied.\n");
  }
  // The module of Apache that sends settings has read the .htaccess files as well.
  if (!hold_web_settings(connection.settings())) {
    log_line("bad request", "malformed settings");
    return answer_plainly(connection, "400 Bad Request", "Bad request.\n");
  }
  if (connection.has_settings()) {
    begin_figures();
    forget_htaccess();
  } else if (const unsigned refused = refused_by_htaccess(connection, params, script.path); refused != 0) {
    return refused;
  }
  script_found(script.path);
  request.connection = &connection;
  request.params = &params;
  request.script_status = script.status;
  request.content_length = intake.content_length;
  request.body_read = 0;
  request.input_closed = false;
  request.engine_off = false;
  request.status = 0;
  run_php(script.path);
  request.body.reset();
  // mod_php steps aside, and Apache then sends the script's source.
  if (request.engine_off) {
    log_line("Access denied: PHP's engine is switched off here", script.path);
    request.status = answer_plainly(connection, "403 Forbidden", "Access denied.\n");
  }
  connection.finish();
  if (!connection.problem().empty()) {
    log_line("broken request", connection.problem());
  } else if (intake.content_length > request.body_read && connection.body_complete()) {
    log_line("broken request", "the body is shorter than CONTENT_LENGTH");
  }
  SG(server_context) = nullptr;
  SG(request_info).path_translated = nullptr;
  request.connection = nullptr;
  request.params = nullptr;
  return request.status;
}

}  // namespace paddock::php_worker
