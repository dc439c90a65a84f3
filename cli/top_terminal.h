// The terminal that `paddock top` draws on: raw, on its alternate screen, as it was before when done. The few
// sequences that are used are ECMA-48's, which every terminal of today understands.
#pragma once

#include <termios.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cli/top_view.h"

namespace paddock::cli {

enum class Key : std::uint8_t {
  kCharacter,
  kEnter,
  kEscape,
  kBackspace,
  kUp,
  kDown,
  kPageUp,
  kPageDown,
  kHome,
  kEnd
};

struct KeyPress {
  Key key = Key::kCharacter;
  char character = 0;  // printable ASCII, of kCharacter
};

class TopTerminal {
 public:
  // ENOTTY: standard input or output is none.
  [[nodiscard]] static Result<TopTerminal> open();
  ~TopTerminal();
  TopTerminal(TopTerminal &&other) noexcept;
  TopTerminal &operator=(TopTerminal &&) = delete;

  struct Size {
    std::size_t columns = 80;
    std::size_t lines = 24;
  };
  [[nodiscard]] static Size size();
  void draw(const std::vector<TopLine> &lines) const;

  enum class Wait : std::uint8_t { kKeys, kTimeout, kResized, kEnd };
  // Waits for keys; kEnd: SIGTERM, SIGINT, SIGHUP, or the terminal has gone.
  [[nodiscard]] Wait wait(std::chrono::milliseconds patience);
  // Those that have come.
  [[nodiscard]] std::vector<KeyPress> keys();

 private:
  TopTerminal() = default;
  termios before_{};
  bool raw_ = false;
  UniqueFd signals_;
  std::string input_;
};

// Takes whole keys from the front of what was read; half a sequence stays.
[[nodiscard]] std::vector<KeyPress> parse_keys(std::string &input);

}  // namespace paddock::cli
