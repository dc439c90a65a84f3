#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>

namespace paddock::log {
namespace {

struct Settings {
  std::string program = "paddock";
  Level lowest = Level::kInfo;
  std::string file;
};

Settings &settings() {
  static Settings instance;
  return instance;
}

std::shared_ptr<spdlog::logger> &logger() {
  static std::shared_ptr<spdlog::logger> instance =
      std::make_shared<spdlog::logger>("paddock", std::make_shared<spdlog::sinks::stderr_sink_st>());
  return instance;
}

spdlog::level::level_enum level(Level wanted) {
  switch (wanted) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

void write(spdlog::level::level_enum at, std::string_view text) {
  logger()->log(at, spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace

Result<void> setup(const std::string &program, Level lowest, const std::string &file) {
  try {
    spdlog::sink_ptr sink;
    if (file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_st>(file);
    }
    auto fresh = std::make_shared<spdlog::logger>(program, std::move(sink));
    fresh->set_level(level(lowest));
    fresh->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %n[%P] %l: %v");
    fresh->flush_on(spdlog::level::info);
    logger() = std::move(fresh);
    settings() = {program, lowest, file};
    return {};
  } catch (const spdlog::spdlog_ex &failure) {
    return Error{"open log " + file + ": " + failure.what()};
  }
}

void reopen() {
  const Settings now = settings();
  if (!now.file.empty())
    if (const auto reopened = setup(now.program, now.lowest, now.file); !reopened)
      error(reopened.error().message());
}

void debug(std::string_view text) {
  write(spdlog::level::debug, text);
}
void info(std::string_view text) {
  write(spdlog::level::info, text);
}
void warning(std::string_view text) {
  write(spdlog::level::warn, text);
}
void error(std::string_view text) {
  write(spdlog::level::err, text);
}

std::string quoted(std::string_view text, std::size_t limit) {
  static constexpr std::array kHex = {'0', '1', '2', '3', '4', '5', '6', '7',
                                      '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
  std::string out = "\"";
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f && byte < 0x80 && c != '"' && c != '\\') {
      out += c;
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  out += text.size() > limit ? "\"…" : "\"";
  return out;
}

}  // namespace paddock::log
