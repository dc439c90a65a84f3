#include "htaccess/directive_tree.h"

#include <optional>
#include <utility>

#include "htaccess/lines.h"

namespace paddock::htaccess {
namespace {

bool is_php(std::string_view name) {
  return name.starts_with("php_");
}

class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, const std::string &file, const ServerFacts &facts)
      : lines_(text), file_(file), facts_(facts) {}

  Result<DirectiveTree> build() {
    PADDOCK_CHECK(read_sections(tree_.directives, {}, 0));
    return std::move(tree_);
  }

 private:
  Error error(const std::string &message) const { return line_error(file_, lines_.number(), message); }

  void diagnose(unsigned line, std::string message) {
    tree_.diagnostics.push_back({file_, line, std::move(message)});
  }

  Result<std::optional<std::string>> next_line() {
    auto line = lines_.next();
    if (!line) return error(line.error().attempt);
    return line;
  }

  // Reads directives into `out` up to the end of the file, or up to the line that closes `container`
  // ("<ifmodule"; empty: there is none). NOLINTNEXTLINE(misc-no-recursion): bounded by kMaxSectionDepth
  Result<void> read_sections(std::vector<Directive> &out, const std::string &container, std::size_t depth) {
    std::vector<Directive> open;
    for (;;) {
      PADDOCK_TRY(const auto line, next_line());
      if (!line) break;
      const bool closes = !container.empty() && open.empty() && line->starts_with("</") &&
                          equal_ignoring_case(line->substr(2), container.substr(1) + ">");
      if (closes) return {};
      if (depth + open.size() > kMaxSectionDepth) return error("sections are nested too deeply");
      PADDOCK_CHECK(read_directive(*line, out, open, depth));
    }
    // Apache takes the end of the file for the end of an <IfModule> that holds, and of what is open in it.
    if (!container.empty()) {
      while (!open.empty()) close(out, open);
      return {};
    }
    if (open.empty()) return {};
    std::string message = open.back().written + "> was not closed.";
    const unsigned at = open.back().line;
    for (open.pop_back(); !open.empty(); open.pop_back())
      message += " " + std::to_string(open.back().line) + ": " + open.back().written + "> was not closed.";
    return line_error(file_, at, message);
  }

  static void close(std::vector<Directive> &out, std::vector<Directive> &open) {
    Directive closed = std::move(open.back());
    open.pop_back();
    (open.empty() ? out : open.back().children).push_back(std::move(closed));
  }

  // NOLINTNEXTLINE(misc-no-recursion): bounded by kMaxSectionDepth
  Result<void> read_directive(const std::string &line, std::vector<Directive> &out,
                              std::vector<Directive> &open, std::size_t depth) {
    if (line.empty() || line.front() == '#') return {};
    bool unknown_define = false;
    const std::string resolved = resolve_defines(facts_, line, unknown_define);
    std::string_view rest = resolved;
    Directive directive;
    directive.line = lines_.number();
    directive.written = next_word(rest);
    if (directive.written.empty()) return {};
    const bool closing = directive.written.starts_with("</");
    if (directive.written.size() < 2 || directive.written[1] != '/') {
      if (directive.written.back() == '>') directive.written.pop_back();
      if (directive.written.starts_with('<') && rest.empty()) rest = ">";
    }
    directive.name = lowercase(directive.written);
    directive.arguments = rest;
    if (closing) return read_close(directive, out, open);
    std::vector<Directive> &siblings = open.empty() ? out : open.back().children;
    if (!directive.is_section()) {
      if (unknown_define && is_php(directive.name))
        diagnose(directive.line, "${…} is used as it stands: what Apache defines is not known here");
      if (is_php(directive.name)) siblings.push_back(std::move(directive));
      return {};
    }
    if (is_decided_while_reading(directive.name)) {
      PADDOCK_TRY(const Decision decision, decide(directive));
      if (decision.value_or(false)) return read_sections(siblings, directive.name, depth + open.size() + 1);
      return skip(directive, decision.has_value());
    }
    open.push_back(std::move(directive));
    return {};
  }

  Result<void> read_close(const Directive &directive, std::vector<Directive> &out,
                          std::vector<Directive> &open) {
    const std::string_view written = directive.written;
    if (open.empty())
      return error(std::string(written) + " without matching <" + std::string(written.substr(2)) +
                   " section");
    if (!written.ends_with('>')) return error(std::string(written) + "> directive missing closing '>'");
    const std::string_view name = written.substr(2, written.size() - 3);
    const std::string &expected = open.back().written;
    if (!equal_ignoring_case(name, std::string_view(expected).substr(1)))
      return error("Expected </" + expected.substr(1) + "> but saw " + std::string(written));
    close(out, open);
    return {};
  }

  static bool is_decided_while_reading(std::string_view name) {
    return name == "<ifmodule" || name == "<ifdefine" || name == "<ifversion" || name == "<iffile" ||
           name == "<ifdirective" || name == "<ifsection";
  }

  Result<Decision> decide(const Directive &section) const {
    if (section.name == "<ifversion") {
      auto decision = version_matches(facts_, section.arguments);
      if (!decision) return error(decision.error().attempt);
      return decision;
    }
    auto argument = section_argument(section);
    if (!argument) return error(argument.error().attempt);
    std::string_view rest = *argument;
    const bool reverse = rest.starts_with('!');
    if (reverse) rest.remove_prefix(1);
    const std::string word = next_word(rest);
    if (word.empty()) return error(section.written + "> directive requires additional arguments");
    Decision decision;
    if (section.name == "<ifmodule") decision = module_is_loaded(facts_, word);
    if (section.name == "<ifdefine") decision = facts_.defines.contains(word);
    // What Apache knows beyond what is known here stays undecided; so does <IfFile>, whose answer could
    // change without this file changing.
    const std::string name = lowercase(word);
    if (section.name == "<ifdirective" && is_php(name)) decision = true;
    if (section.name == "<ifsection" &&
        (name == "files" || name == "filesmatch" || name == "if" || name == "limit"))
      decision = true;
    if (decision && reverse) decision = !*decision;
    return decision;
  }

  // Reads over a section that does not hold, as ap_soak_end_container() does: only sections are looked at.
  Result<void> skip(const Directive &section, bool decided) {
    std::vector<std::string> open = {section.written};
    bool php = false;
    for (;;) {
      PADDOCK_TRY(const auto line, next_line());
      if (!line) return error("Expected </" + open.back().substr(1) + "> before end of configuration");
      std::string_view rest = *line;
      std::string word = next_word(rest);
      php |= is_php(lowercase(word));
      if (!word.starts_with('<')) continue;
      if (!word.starts_with("</")) {
        if (rest.empty() && word.size() > 1 && word.back() == '>') word.pop_back();
        if (open.size() > kMaxSectionDepth) return error("sections are nested too deeply");
        open.push_back(std::move(word));
        continue;
      }
      word.pop_back();
      const std::string_view name = word.size() > 2 ? std::string_view(word).substr(2) : std::string_view();
      if (!equal_ignoring_case(name, open.back().substr(1)))
        return error("Expected </" + open.back().substr(1) + "> but saw " + word + ">");
      open.pop_back();
      if (open.empty()) break;
    }
    if (!decided && php)
      diagnose(section.line, section.written + " " + section.arguments +
                                 " is skipped: whether it holds is not known here, only to Apache");
    return {};
  }

  LineReader lines_;
  const std::string &file_;
  const ServerFacts &facts_;
  DirectiveTree tree_;
};

}  // namespace

Error line_error(const std::string &file, unsigned line, const std::string &message) {
  return Error{file + ":" + std::to_string(line) + ": " + message};
}

Result<std::string_view> section_argument(const Directive &section) {
  const std::string_view arguments = section.arguments;
  const std::size_t end = arguments.rfind('>');
  if (end == std::string_view::npos) return Error{section.written + "> directive missing closing '>'"};
  return arguments.substr(0, end);
}

Result<DirectiveTree> parse_directives(std::string_view text, const std::string &file,
                                       const ServerFacts &facts) {
  return TreeBuilder(text, file, facts).build();
}

}  // namespace paddock::htaccess
