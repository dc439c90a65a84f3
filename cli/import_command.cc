#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <ostream>

#include "base/file.h"
#include "base/log.h"
#include "cli/import_fpm.h"
#include "cli/text.h"

namespace paddock::cli {
namespace {

using control::FindingSeverity;

constexpr const char *kPlansFile = "fpm-plans.toml";
constexpr mode_t kMode = 0640;  // environment variables hold passwords

struct OutputFile {
  std::string path;
  std::string text;
};

std::vector<OutputFile> files_of(const Import &import, const std::string &directory) {
  std::vector<OutputFile> files{
      {directory + "/" + kPlansFile, "# Plans of PHP-FPM's pools.\n" + import.plans}};
  for (const auto &tenant : import.tenants)
    files.push_back({directory + "/" + tenant.name + ".toml", tenant.toml});
  return files;
}

// All or none, as far as that can be known beforehand.
Result<void> write_files(const std::vector<OutputFile> &files, bool replace) {
  for (const auto &file : files)
    if (!replace && ::access(file.path.c_str(), F_OK) == 0)
      return Error{file.path + " exists; nothing was written (--replace writes over it)"};
  for (const auto &file : files) PADDOCK_CHECK(replace_file(file.path, file.text, kMode));
  return {};
}

const char *title_of(FindingSeverity severity) {
  switch (severity) {
    case FindingSeverity::kError:
      return "Not carried over";
    case FindingSeverity::kWarning:
      return "Carried over, but not the same";
    default:
      return "Not needed";
  }
}

void print_notes(std::ostream &out, const std::vector<control::Finding> &notes) {
  for (const auto severity : {FindingSeverity::kError, FindingSeverity::kWarning, FindingSeverity::kOk}) {
    bool first = true;
    for (const auto &note : notes) {
      if (note.severity != severity) continue;
      if (std::exchange(first, false)) out << title_of(severity) << ":\n";
      out << "  " << printable(note.subject, 4096) << "\n    " << printable(note.message, 4096) << '\n';
    }
  }
}

}  // namespace

ExitStatus import_fpm(const Session &session, const ImportOptions &options) {
  const auto machine = policies::this_machine();
  const auto fpm = read_fpm_config(options.source, machine);
  if (!fpm) return session.fail(ExitStatus::kUsage, fpm.error().message());
  if (fpm->pools.empty()) return session.fail(ExitStatus::kUsage, options.source + " has no pool");
  const Import import = import_fpm(*fpm, machine);

  if (!options.directory.empty()) {
    const auto files = files_of(import, options.directory);
    if (const auto written = write_files(files, options.replace); !written)
      return session.fail(ExitStatus::kFailed, written.error().message());
    if (!session.json)
      for (const auto &file : files) session.out << "wrote " << printable(file.path) << '\n';
  } else if (!session.json) {
    session.out << import.plans;
    for (const auto &tenant : import.tenants) session.out << '\n' << tenant.toml;
  }
  if (session.json) {
    session.out << to_json(control::Findings{import.notes}) << '\n';
  } else {
    print_notes(session.err, import.notes);
  }
  const bool lost = std::any_of(import.notes.begin(), import.notes.end(),
                                [](const auto &note) { return note.severity == FindingSeverity::kError; });
  return lost ? ExitStatus::kFailed : ExitStatus::kOk;
}

}  // namespace paddock::cli
