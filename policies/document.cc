#include "policies/document.h"

// toml++ 3.3 asserts that a key begins after "[", and only then finds that in "[;" none does: an abort in a
// debug build, with clang undefined behaviour in a release build. The checks behind its assertions answer
// such text well, so neither abort nor assume, whatever the build.
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#include <toml++/toml.h>

#include <algorithm>

#include "base/log.h"

namespace paddock::policies {
namespace {

// No key of ours is deeper than six; the bound keeps a hostile file from using up the stack.
constexpr int kDeepest = 32;

Position position(const toml::source_region &region) {
  return {region.begin.line, region.begin.column};
}

class Converter {
 public:
  Converter(const std::string &file, std::vector<Diagnostic> &diagnostics)
      : file_(file), diagnostics_(diagnostics) {}

  Table table(const toml::table &from, int depth) {
    Table out;
    out.reserve(from.size());
    for (const auto &[key, node] : from)
      out.push_back({std::string(key.str()), position(key.source()), value(node, depth)});
    // toml++ sorts by name; what a person reads first should be complained about first.
    std::sort(out.begin(), out.end(), [](const Entry &a, const Entry &b) { return a.where < b.where; });
    return out;
  }

 private:
  Value value(const toml::node &from, int depth) {
    Value out{position(from.source()), DateOrTime{}};
    if (depth >= kDeepest) {
      if (!too_deep_) {
        Diagnostic found{
            Severity::kError, {file_, out.where.line, out.where.column}, {}, "nested too deeply"};
        diagnostics_.push_back(std::move(found));
      }
      too_deep_ = true;
      return out;
    }
    if (const auto *text = from.as_string()) {
      out.data = text->get();
    } else if (const auto *integer = from.as_integer()) {
      out.data = integer->get();
    } else if (const auto *number = from.as_floating_point()) {
      out.data = number->get();
    } else if (const auto *boolean = from.as_boolean()) {
      out.data = boolean->get();
    } else if (const auto *array = from.as_array()) {
      Array items;
      for (const auto &item : *array) items.push_back(value(item, depth + 1));
      out.data = std::move(items);
    } else if (const auto *inner = from.as_table()) {
      out.data = table(*inner, depth + 1);
    }
    return out;
  }

  const std::string &file_;
  std::vector<Diagnostic> &diagnostics_;
  bool too_deep_ = false;
};

}  // namespace

std::string Value::describe() const {
  struct Describe {
    std::string operator()(const std::string &text) const { return "string " + log::quoted(text, 64); }
    std::string operator()(std::int64_t number) const { return "integer " + std::to_string(number); }
    std::string operator()(double number) const { return "float " + std::to_string(number); }
    std::string operator()(bool value) const { return value ? "boolean true" : "boolean false"; }
    std::string operator()(DateOrTime) const { return "a date or time"; }
    std::string operator()(const Array &) const { return "an array"; }
    std::string operator()(const Table &) const { return "a table"; }
  };
  return std::visit(Describe{}, data);
}

Table parse_document(std::string_view text, const std::string &file, std::vector<Diagnostic> &diagnostics) {
  const toml::parse_result parsed = toml::parse(text, std::string_view(file));
  if (!parsed) {
    const auto &error = parsed.error();
    const Position where = position(error.source());
    diagnostics.push_back({Severity::kError,
                           {file, where.line, where.column},
                           {},
                           "not valid TOML: " + std::string(error.description())});
    return {};
  }
  return Converter(file, diagnostics).table(parsed.table(), 0);
}

bool is_bare_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

}  // namespace paddock::policies
