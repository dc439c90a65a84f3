#include "htaccess/document.h"

#include <utility>

#include "htaccess/directive_tree.h"
#include "htaccess/lines.h"
#include "htaccess/wildcard.h"

namespace paddock::htaccess {
namespace {

// The name as apr_filepath_merge() leaves it: without "./", "//" and "a/..".
std::string canonical(std::string_view path) {
  std::vector<std::string_view> parts;
  bool directory = false;
  const bool absolute = path.starts_with('/');
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    directory = slash != std::string_view::npos;
    path.remove_prefix(directory ? slash + 1 : path.size());
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty() && parts.back() != "..")
      parts.pop_back();
    else
      parts.push_back(part);
  }
  std::string result = absolute ? "/" : "";
  for (std::size_t i = 0; i < parts.size(); ++i) {
    result += parts[i];
    if (i + 1 < parts.size() || directory) result += '/';
  }
  return result;
}

bool is_transparent(std::string_view name) {
  return name == "<limit" || name == "<limitexcept";
}
bool is_authorization(std::string_view name) {
  return name == "<requireall" || name == "<requireany" || name == "<requirenone";
}

// Where a directive stands.
struct Place {
  const Directive *parent = nullptr;
  bool limited = false;        // within <Limit>
  bool authorization = false;  // within <RequireAll> and the like, where php_* may not stand
};

class Walk {
 public:
  explicit Walk(const std::string &file) : file_(file) {}

  // NOLINTNEXTLINE(misc-no-recursion): bounded by kMaxSectionDepth
  Result<void> walk(const std::vector<Directive> &directives, Configuration &into, const Place &place) {
    for (const Directive &directive : directives) PADDOCK_CHECK(visit(directive, into, place));
    return {};
  }

 private:
  Error error(const Directive &at, const std::string &message) const {
    return line_error(file_, at.line, message);
  }

  // NOLINTNEXTLINE(misc-no-recursion): bounded by kMaxSectionDepth
  Result<void> visit(const Directive &directive, Configuration &into, const Place &place) {
    const std::string &name = directive.name;
    if (name == "php_value" || name == "php_flag") return set(directive, into, place);
    if (name == "php_admin_value" || name == "php_admin_flag") return not_allowed(directive, place);
    Place inner = place;
    inner.parent = &directive;
    if (name == "<files" || name == "<filesmatch") return files(directive, into, inner);
    if (name == "<if" || name == "<elseif" || name == "<else") return condition(directive, into, inner);
    if (is_transparent(name) || is_authorization(name)) {
      inner.limited |= is_transparent(name);
      inner.authorization |= is_authorization(name);
      if (const auto argument = section_argument(directive); !argument)
        return error(directive, argument.error().attempt);
      return walk(directive.children, into, inner);
    }
    // Any other section, and php_* of other makes: Apache's to refuse or to skip.
    return {};
  }

  Error not_allowed(const Directive &directive, const Place &place) const {
    if (place.parent == nullptr) return error(directive, directive.name + " not allowed here");
    return error(directive, directive.name + " not allowed in " + place.parent->written + "> context");
  }

  Result<void> set(const Directive &directive, Configuration &into, const Place &place) {
    if (place.authorization) return not_allowed(directive, place);
    const bool flag = directive.name == "php_flag";
    std::string_view rest = directive.arguments;
    const std::string name = next_word(rest);
    std::string value = next_word(rest);
    if (name.empty() || value.empty() || !rest.empty())
      return error(directive,
                   directive.name + " takes two arguments, PHP " + (flag ? "Flag" : "Value") + " Modifier");
    if (flag) value = equal_ignoring_case(value, "on") || value == "1" ? "1" : "0";
    if (equal_ignoring_case(value, "none")) value.clear();
    into.values.set(name, value);
    return {};
  }

  // The condition that Apache sets for a section: not within <Limit>, a '>', an argument.
  Result<std::string_view> argument_of(const Directive &section, const Place &inner, bool needed) const {
    if (inner.limited)
      return error(section, section.written + "> cannot occur within <Limit> or <LimitExcept> section");
    auto argument = section_argument(section);
    if (!argument) return error(section, argument.error().attempt);
    if (needed && argument->empty())
      return error(section, section.written + "> directive requires additional arguments");
    return argument;
  }

  // NOLINTNEXTLINE(misc-no-recursion): bounded by kMaxSectionDepth
  Result<void> files(const Directive &section, Configuration &into, const Place &inner) {
    PADDOCK_TRY(std::string_view rest, argument_of(section, inner, true));
    std::string pattern = next_word(rest);
    const bool tilde = section.name == "<files" && pattern == "~";
    if (tilde) pattern = next_word(rest);
    std::optional<FilePattern> compiled;
    if (tilde || section.name == "<filesmatch") {
      auto regex = Regex::compile(pattern);
      if (!regex) return error(section, "Regex could not be compiled: " + regex.error().message());
      compiled = FilePattern::expression(std::move(*regex));
    } else {
      compiled = FilePattern::wildcard(canonical(pattern));
    }
    FileSection result{std::move(*compiled), {}};
    PADDOCK_CHECK(walk(section.children, result.configuration, inner));
    into.files.push_back(std::move(result));
    if (!rest.empty())
      return error(section, "Multiple " + section.written + "> arguments not (yet) supported.");
    return {};
  }

  // NOLINTNEXTLINE(misc-no-recursion): bounded by kMaxSectionDepth
  Result<void> condition(const Directive &section, Configuration &into, const Place &inner) {
    IfSection result;
    result.line = section.line;
    result.branch = section.name == "<if"       ? Branch::kIf
                    : section.name == "<elseif" ? Branch::kElseIf
                                                : Branch::kElse;
    const bool has_condition = result.branch != Branch::kElse;
    PADDOCK_TRY(std::string_view rest, argument_of(section, inner, has_condition));
    if (!has_condition && !rest.empty()) return error(section, "<Else> does not take an argument");
    if (has_condition) {
      auto parsed = Condition::parse(next_word(rest));
      if (parsed)
        result.condition = std::move(*parsed);
      else
        result.problem = parsed.error().message();
    }
    PADDOCK_CHECK(walk(section.children, result.configuration, inner));
    const bool follows = !into.ifs.empty() && into.ifs.back().branch != Branch::kElse;
    if (result.branch != Branch::kIf && !follows)
      return error(section,
                   "<Else> or <ElseIf> section without previous <If> or <ElseIf> section in same scope");
    into.ifs.push_back(std::move(result));
    if (!rest.empty()) return error(section, "Multiple " + section.written + "> arguments not supported.");
    return {};
  }

  const std::string &file_;
};

// An <If> and the document that it came from.
struct Candidate {
  const Document *document;
  const IfSection *section;
};

void collect(const Document *document, const Configuration &configuration, std::vector<Candidate> &ifs) {
  for (const IfSection &section : configuration.ifs) ifs.push_back({document, &section});
}

// Whether `section` is taken; what cannot be decided is not, and said once.
Truth decide(const Candidate &candidate, const RequestView &request, std::vector<Diagnostic> &diagnostics) {
  const IfSection &section = *candidate.section;
  if (section.branch == Branch::kElse) return Truth::kTrue;
  const Verdict verdict = section.condition ? section.condition->evaluate(request)
                                            : Verdict{Truth::kUndecidable, section.problem};
  if (verdict.truth == Truth::kUndecidable && !std::exchange(section.reported, true))
    diagnostics.push_back({candidate.document->file, section.line,
                           "the condition cannot be decided here (" + verdict.reason +
                               "): the section, and the <ElseIf> and <Else> after it, are skipped"});
  return verdict.truth;
}

// One round of ap_if_walk(): merges the sections that are taken, returns the <If> within them.
std::vector<Candidate> walk_ifs(const std::vector<Candidate> &ifs, const RequestView &request,
                                Settings &settings) {
  std::vector<Candidate> inner;
  bool settled = false;  // the chain of the last <If>: one branch was taken, or might have been
  for (const Candidate &candidate : ifs) {
    if (candidate.section->branch == Branch::kIf) settled = false;
    if (settled) continue;
    const Truth truth = decide(candidate, request, settings.diagnostics);
    settled = truth != Truth::kFalse;
    if (truth != Truth::kTrue) continue;
    settings.values.merge(candidate.section->configuration.values);
    collect(candidate.document, candidate.section->configuration, inner);
  }
  return inner;
}

}  // namespace

FilePattern FilePattern::wildcard(std::string_view text) {
  FilePattern pattern;
  pattern.text_ = text;
  pattern.literal_ = !has_wildcard(text);
  return pattern;
}

FilePattern FilePattern::expression(Regex regex) {
  FilePattern pattern;
  pattern.regex_ = std::move(regex);
  return pattern;
}

bool FilePattern::matches(std::string_view name) const {
  // A pattern that takes too long does not match: what ap_regexec() makes of it too.
  if (regex_) return regex_->search(name) == Regex::Outcome::kMatch;
  return literal_ ? name == text_ : wildcard_match(text_, name, {.path = true});
}

Result<Document> parse_document(std::string_view text, const std::string &file, const ServerFacts &facts) {
  PADDOCK_TRY(DirectiveTree tree, parse_directives(text, file, facts));
  Document document{file, {}, std::move(tree.diagnostics)};
  PADDOCK_CHECK(Walk(document.file).walk(tree.directives, document.configuration, {}));
  return document;
}

Settings merge(const std::vector<const Document *> &documents, const RequestView &request) {
  Settings settings;
  std::vector<Candidate> ifs;
  for (const Document *document : documents) {
    settings.values.merge(document->configuration.values);
    collect(document, document->configuration, ifs);
  }
  const std::string_view name = request.script.substr(request.script.rfind('/') + 1);
  for (const Document *document : documents)
    for (const FileSection &section : document->configuration.files)
      if (section.pattern.matches(name)) {
        settings.values.merge(section.configuration.values);
        collect(document, section.configuration, ifs);
      }
  while (!ifs.empty()) ifs = walk_ifs(ifs, request, settings);
  return settings;
}

}  // namespace paddock::htaccess
