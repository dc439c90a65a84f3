// One .htaccess file, ready to be merged with others for a request.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "htaccess/condition.h"
#include "htaccess/regex.h"
#include "htaccess/server_facts.h"
#include "htaccess/settings.h"

namespace paddock::htaccess {

// The names of files that a <Files> or <FilesMatch> is for: those of the last component of the path only.
class FilePattern {
 public:
  [[nodiscard]] static FilePattern wildcard(std::string_view text);
  [[nodiscard]] static FilePattern expression(Regex regex);

  [[nodiscard]] bool matches(std::string_view name) const;

 private:
  std::string text_;
  bool literal_ = false;
  std::optional<Regex> regex_;
};

struct FileSection;
struct IfSection;

// What a file, or a section of it, says at its top level.
struct Configuration {
  SettingList values;
  std::vector<FileSection> files;
  std::vector<IfSection> ifs;
};

struct FileSection {
  FilePattern pattern;
  Configuration configuration;
};

enum class Branch { kIf, kElseIf, kElse };

struct IfSection {
  Branch branch = Branch::kIf;
  unsigned line = 0;
  std::optional<Condition> condition;  // none of an <Else>, and of one that could not be parsed
  std::string problem;                 // why it could not be
  Configuration configuration;
  mutable bool reported = false;  // that it could not be decided
};

struct Document {
  std::string file;
  Configuration configuration;
  std::vector<Diagnostic> diagnostics;
};

// Parses the text of a .htaccess. `file` only serves messages. Error (code 0): "FILE:LINE: …" in Apache's
// words, for what mod_php's Apache answers 500 to: sections that are not closed, php_value without two
// arguments, php_admin_value and php_admin_flag, which .htaccess may not hold.
[[nodiscard]] Result<Document> parse_document(std::string_view text, const std::string &file,
                                              const ServerFacts &facts);

// Merges documents, the one nearest to the root first, in Apache's order (ap_directory_walk(),
// ap_file_walk(), ap_if_walk()): what each file says plainly; then the <Files> of all of them that match the
// script's name; then the <If> of all of these that hold, and then the <If> within them. <Files> within
// <Files> or <If> are never looked at.
[[nodiscard]] Settings merge(const std::vector<const Document *> &documents, const RequestView &request);

}  // namespace paddock::htaccess
