#include "php_worker/vm_interrupt.h"

#include <csignal>
#include <ctime>

#include "php_worker/php_headers.h"
#include "php_worker/sapi.h"

namespace paddock::php_worker {
namespace {

constexpr int kFrames = 50;

PoolControl *control = nullptr;
std::uint32_t slot = 0;
const scoreboard::Slot *own = nullptr;
void (*next_hook)(zend_execute_data *) = nullptr;

void stop_the_vm(int) {
#if PHP_VERSION_ID >= 80200
  zend_atomic_bool_store_ex(&EG(vm_interrupt), true);
#else
  EG(vm_interrupt) = 1;
#endif
}

double seconds_since(std::uint64_t start) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9 -
         static_cast<double>(start) / 1e9;
}

// "#0 Shop->find() /home/alice/shop.php:12": the function, and where in it (or, of PHP's own, in its caller)
// it is.
void log_frame(int number, const zend_execute_data *frame) {
  const zend_function *function = frame->func;
  const zend_string *name = function->common.function_name;
  const zend_class_entry *scope = name == nullptr ? nullptr : function->common.scope;
  const zend_execute_data *place = frame;
  while (place != nullptr && (place->func == nullptr || !ZEND_USER_CODE(place->func->type)))
    place = place->prev_execute_data;
  char text[2048];
  snprintf(text, sizeof text, "#%d %s%s%s%s %s:%u", number, scope == nullptr ? "" : ZSTR_VAL(scope->name),
           scope == nullptr ? "" : "->", name == nullptr ? "{main}" : ZSTR_VAL(name),
           name == nullptr ? "" : "()", place == nullptr ? "-" : ZSTR_VAL(place->func->op_array.filename),
           place == nullptr ? 0 : place->opline->lineno);
  log_line("slow", text);
}

void log_slow(std::uint64_t since) {
  char text[512];
  snprintf(text, sizeof text, "%.15s %.150s (%.150s) runs for %.3f s", own->method, own->uri, own->script,
           seconds_since(since));
  log_line("slow", text);
}

void log_backtrace(const zend_execute_data *frame, std::uint64_t since) {
  log_slow(since);
  int number = 0;
  for (; frame != nullptr && number < kFrames; frame = frame->prev_execute_data)
    if (frame->func != nullptr) log_frame(number++, frame);
  if (frame != nullptr) log_line("slow", "…");
}

void on_interrupt(zend_execute_data *frame) {
  if (next_hook != nullptr) next_hook(frame);
  if (control == nullptr) return;
  const std::uint64_t since = own->since_ns.load(std::memory_order_relaxed);
  // A wish for the request before comes too late, and means nobody.
  if (control->slow[slot].load(std::memory_order_relaxed) == since) {
    control->slow[slot].store(0, std::memory_order_relaxed);
    log_backtrace(frame, since);
  }
  if (control->late[slot].load(std::memory_order_relaxed) == since) {
    control->late[slot].store(0, std::memory_order_relaxed);
    PG(connection_status) |= PHP_CONNECTION_TIMEOUT;
    // As PHP does when max_execution_time is over: the shutdown functions run.
    zend_error_noreturn(E_ERROR,
                        "Maximum execution time exceeded: the plan's deadline has passed after %.1f s",
                        seconds_since(since));
  }
}

void handle(int number, int flags) {
  struct sigaction action {};
  action.sa_handler = stop_the_vm;
  action.sa_flags = flags;
  ::sigaction(number, &action, nullptr);
}

}  // namespace

int late_signal() {
  return SIGRTMAX - 1;
}

int slow_signal() {
  return SIGRTMAX - 2;
}

void hook_vm_interrupt() {
  next_hook = zend_interrupt_function;
  zend_interrupt_function = on_interrupt;
}

bool is_late() {
  return control != nullptr &&
         control->late[slot].load(std::memory_order_relaxed) == own->since_ns.load(std::memory_order_relaxed);
}

void tell_if_slow() {
  if (control == nullptr) return;
  std::uint64_t since = own->since_ns.load(std::memory_order_relaxed);
  if (control->slow[slot].compare_exchange_strong(since, 0)) log_slow(since);
}

void obey_interrupts(PoolControl &page, std::uint32_t number, const scoreboard::Slot &entry) {
  control = &page;
  slot = number;
  own = &entry;
  handle(late_signal(), 0);
  handle(slow_signal(), SA_RESTART);
}

}  // namespace paddock::php_worker
