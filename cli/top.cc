#include "cli/top.h"

#include <algorithm>
#include <ctime>
#include <ostream>
#include <thread>

#include "cli/text.h"
#include "cli/top_model.h"
#include "cli/top_terminal.h"
#include "cli/top_view.h"

namespace paddock::cli {
namespace {

using control::Command;
using std::chrono::duration;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kAskPatience(10);
constexpr std::chrono::seconds kActionPatience(90);

TopOrder order_of(const std::string &name) {
  const auto found = std::find(kTopOrders.begin(), kTopOrders.end(), name);
  return found == kTopOrders.end() ? TopOrder::kCpu : static_cast<TopOrder>(found - kTopOrders.begin());
}

// What its requests have of memory is told of one tenant at a time only.
void add_memory_of_requests(const Session &session, const std::string &tenant, control::Status &status) {
  const auto answer = ask(session, {Command::kStatus, tenant, "", {}}, kAskPatience);
  const auto *const reply = std::get_if<control::Reply>(&answer);
  if (reply == nullptr) return;
  auto one = control::result_from_json<control::Status>(reply->result);
  if (!one || one->tenants.size() != 1) return;
  for (auto &each : status.tenants)
    if (each.name == tenant) each.running = std::move(one->tenants.front().running);
}

// Nullopt: `model` has the news. opened: the tenant whose requests are shown; empty: none's.
std::optional<NoAnswer> refresh(const Session &session, const std::string &opened, TopModel &model) {
  const auto answer = ask(session, {Command::kStatus, "", "", {}}, kAskPatience);
  if (const auto *none = std::get_if<NoAnswer>(&answer)) return *none;
  auto status = control::result_from_json<control::Status>(std::get<control::Reply>(answer).result);
  if (!status)
    return NoAnswer{ExitStatus::kFailed, {}, "the supervisor's answer: " + status.error().message()};
  if (!opened.empty()) add_memory_of_requests(session, opened, *status);
  // For what status does not tell: disks. The first of the stream is enough.
  control::Samples samples;
  const auto sampled = ask(session, {Command::kSamples, "", "", {}}, kAskPatience);
  if (const auto *reply = std::get_if<control::Reply>(&sampled)) {
    auto read = control::result_from_json<control::Samples>(reply->result);
    if (read) samples = std::move(*read);
  }
  model.take(std::move(*status), samples);
  return std::nullopt;
}

ExitStatus batch(const Session &session, const TopOptions &options) {
  TopModel model;
  const auto interval = duration<double>(options.interval);
  const TopOrder order = order_of(options.sort);
  for (std::uint32_t printed = 0; options.count == 0 || printed < options.count;) {
    if (const auto failed = refresh(session, {}, model)) return report(session, *failed);
    if (model.has_rates()) {
      const auto rows = model.rows(order, false, options.filter);
      if (session.json) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        session.out << to_json(control::Top{duration_cast<milliseconds>(now).count(), rows}) << '\n';
      } else {
        if (printed > 0) session.out << '\n';
        session.out << top_table(rows);
      }
      session.out.flush();
      if (!session.out) return ExitStatus::kFailed;  // whoever read has gone
      ++printed;
    }
    if (options.count == 0 || printed < options.count) std::this_thread::sleep_for(interval);
  }
  return ExitStatus::kOk;
}

class Top {
 public:
  Top(const Session &session, const TopOptions &options, TopTerminal terminal)
      : session_(session),
        terminal_(std::move(terminal)),
        interval_(milliseconds(static_cast<int>(options.interval * 1000))) {
    screen_.order = order_of(options.sort);
    screen_.filter = options.filter;
  }

  std::optional<NoAnswer> run() {
    auto next = steady_clock::now();
    for (;;) {
      if (steady_clock::now() >= next) {
        if (auto failed = refresh(session_, screen_.open ? screen_.selected : std::string(), model_)) {
          if (failed->status != ExitStatus::kNotRunning || !model_.has_rates()) return failed;
          screen_.message = "the supervisor does not answer; trying on";
        } else {
          choose();
        }
        next =
            steady_clock::now() + (model_.has_rates() ? interval_ : std::min(interval_, milliseconds(500)));
      }
      draw();
      const auto patience = duration_cast<milliseconds>(next - steady_clock::now()) + milliseconds(1);
      const auto what = terminal_.wait(std::max(patience, milliseconds(0)));
      if (what == TopTerminal::Wait::kEnd) return std::nullopt;
      if (what != TopTerminal::Wait::kKeys) continue;
      for (const auto &key : terminal_.keys()) {
        if (!press(key)) return std::nullopt;
        if (acted_) next = steady_clock::now();
        acted_ = false;
      }
    }
  }

 private:
  enum class Asking : std::uint8_t { kNothing, kFilter, kReason, kConfirm };

  void draw() {
    const auto size = TopTerminal::size();
    terminal_.draw(draw_top(model_, screen_, size.columns, size.lines, std::time(nullptr)));
  }

  [[nodiscard]] std::vector<control::TopRow> rows() const {
    return model_.rows(screen_.order, screen_.reverse, screen_.filter);
  }

  // Somebody is selected, as long as there is anybody.
  void choose() {
    const auto all = rows();
    const bool there =
        std::any_of(all.begin(), all.end(), [&](const auto &row) { return row.tenant == screen_.selected; });
    if (!there && !screen_.open) screen_.selected = all.empty() ? "" : all.front().tenant;
  }

  void move(std::ptrdiff_t by) {
    const auto all = rows();
    if (all.empty()) return;
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto &row) { return row.tenant == screen_.selected; });
    const std::ptrdiff_t at = found == all.end() ? 0 : found - all.begin();
    const auto last = static_cast<std::ptrdiff_t>(all.size()) - 1;
    screen_.selected = all[static_cast<std::size_t>(std::clamp(at + by, std::ptrdiff_t{0}, last))].tenant;
  }

  void sort_by(TopOrder order) {
    screen_.reverse = false;
    screen_.order = order;
  }

  void ask_for(Asking what, const std::string &prompt) {
    asking_ = what;
    prompt_ = prompt;
    typed_ = what == Asking::kFilter ? screen_.filter : "";
    screen_.prompt = prompt_ + typed_;
    screen_.message.clear();
  }

  void confirm(Command command) {
    if (screen_.selected.empty()) return;
    command_ = command;
    if (command == Command::kBlock && reason_.empty())
      return ask_for(Asking::kReason, "Block " + screen_.selected + ", because: ");
    std::string what(name_of(command));
    what[0] = static_cast<char>(what[0] - 'a' + 'A');
    ask_for(Asking::kConfirm, what + " " + screen_.selected + "? y/n ");
  }

  void act() {
    const control::Request request{
        command_, screen_.selected, command_ == Command::kBlock ? reason_ : "", {}};
    screen_.prompt.clear();
    screen_.message = std::string(name_of(command_)) + " " + screen_.selected + " …";
    const auto answer = ask(session_, request, kActionPatience);
    const std::string what = std::string(name_of(command_)) + " " + screen_.selected + ": ";
    if (const auto *none = std::get_if<NoAnswer>(&answer)) {
      screen_.message = what + printable(none->failure ? none->failure->message : none->message);
    } else {
      screen_.message = what + "done";
    }
    acted_ = true;
  }

  // False: quit.
  bool press(const KeyPress &key) {
    if (asking_ != Asking::kNothing) {
      answer(key);
      return true;
    }
    screen_.message.clear();
    if (screen_.help) {
      screen_.help = false;
      return true;
    }
    const auto page = static_cast<std::ptrdiff_t>(TopTerminal::size().lines / 2);
    switch (key.key) {
      case Key::kUp:
        move(-1);
        return true;
      case Key::kDown:
        move(1);
        return true;
      case Key::kPageUp:
        move(-page);
        return true;
      case Key::kPageDown:
        move(page);
        return true;
      case Key::kHome:
        move(-static_cast<std::ptrdiff_t>(rows().size()));
        return true;
      case Key::kEnd:
        move(static_cast<std::ptrdiff_t>(rows().size()));
        return true;
      case Key::kEnter:
        screen_.open = !screen_.selected.empty();
        return true;
      case Key::kEscape:
        if (!screen_.open) screen_.filter.clear();
        screen_.open = false;
        choose();
        return true;
      case Key::kBackspace:
        return true;
      case Key::kCharacter:
        return press(key.character);
    }
    return true;
  }

  bool press(char c) {
    constexpr auto kOrders = static_cast<unsigned>(kTopOrders.size());
    switch (c) {
      case 'q':
        return false;
      case 's':
        sort_by(static_cast<TopOrder>((static_cast<unsigned>(screen_.order) + 1) % kOrders));
        break;
      case 'S':
        sort_by(static_cast<TopOrder>((static_cast<unsigned>(screen_.order) + kOrders - 1) % kOrders));
        break;
      case 'P':
        sort_by(TopOrder::kCpu);
        break;
      case 'M':
        sort_by(TopOrder::kMemory);
        break;
      case 'R':
        sort_by(TopOrder::kRequests);
        break;
      case 'I':
        sort_by(TopOrder::kIo);
        break;
      case 'N':
        sort_by(TopOrder::kName);
        break;
      case 'r':
        screen_.reverse = !screen_.reverse;
        break;
      case 'j':
        move(1);
        break;
      case '/':
        ask_for(Asking::kFilter, "filter: ");
        break;
      case '?':
      case 'h':
        screen_.help = true;
        break;
      case '+':
        interval_ = std::min(interval_ * 2, milliseconds(60'000));
        break;
      case '-':
        interval_ = std::max(interval_ / 2, milliseconds(500));
        break;
      case 'k':
        confirm(Command::kKill);
        break;
      case 'f':
        confirm(Command::kFreeze);
        break;
      case 't':
        confirm(Command::kThaw);
        break;
      case 'b':
        reason_.clear();
        confirm(Command::kBlock);
        break;
      case 'u':
        confirm(Command::kUnblock);
        break;
      default:
        break;
    }
    return true;
  }

  void answer(const KeyPress &key) {
    if (asking_ == Asking::kConfirm) {
      asking_ = Asking::kNothing;
      screen_.prompt.clear();
      if (key.key == Key::kCharacter && (key.character == 'y' || key.character == 'Y')) {
        act();
      } else {
        screen_.message = "nothing was done";
      }
      return;
    }
    constexpr std::size_t kLongest = 200;
    if (key.key == Key::kCharacter && typed_.size() < kLongest) typed_ += key.character;
    if (key.key == Key::kBackspace && !typed_.empty()) typed_.pop_back();
    if (asking_ == Asking::kFilter) {
      screen_.filter = key.key == Key::kEscape ? "" : typed_;
      choose();
    }
    screen_.prompt = prompt_ + typed_;
    if (key.key != Key::kEnter && key.key != Key::kEscape) return;
    const bool reason = asking_ == Asking::kReason && key.key == Key::kEnter && !typed_.empty();
    asking_ = Asking::kNothing;
    screen_.prompt.clear();
    if (reason) {
      reason_ = typed_;
      confirm(Command::kBlock);
    }
  }

  const Session &session_;
  TopTerminal terminal_;
  milliseconds interval_;
  TopModel model_;
  TopScreen screen_;
  Asking asking_ = Asking::kNothing;
  std::string prompt_;
  std::string typed_;
  std::string reason_;
  Command command_ = Command::kKill;
  bool acted_ = false;
};

}  // namespace

ExitStatus top(const Session &session, const TopOptions &options) {
  if (options.batch || session.json) return batch(session, options);
  std::optional<NoAnswer> failed;
  {
    auto terminal = TopTerminal::open();
    if (!terminal) return session.fail(ExitStatus::kUsage, terminal.error().message());
    failed = Top(session, options, std::move(*terminal)).run();
  }
  return failed ? report(session, *failed) : ExitStatus::kOk;
}

}  // namespace paddock::cli
