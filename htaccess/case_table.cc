#include "htaccess/case_table.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace paddock::htaccess {
namespace {

std::string unescape(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i + 1 <= text.size() ? i + 1 : i);
    if (text[i] != '\\' || rest.empty()) {
      result += text[i];
    } else if (rest[0] == '{' && rest.size() > 3 && rest[2] == '*') {
      const std::size_t end = rest.find('}', 3);
      result.append(std::stoul(std::string(rest.substr(3, end - 3))), rest[1]);
      i += end + 1;
    } else if (rest[0] == 'x' && rest.size() > 2) {
      result += static_cast<char>(std::stoi(std::string(rest.substr(1, 2)), nullptr, 16));
      i += 3;
    } else {
      const std::size_t known = std::string_view("rnt\\").find(rest[0]);
      if (known == std::string_view::npos) {
        result += text[i];
      } else {
        result += "\r\n\t\\"[known];
        ++i;
      }
    }
  }
  return result;
}

// The first word of `text`, and what follows the space after it.
std::pair<std::string, std::string> split(const std::string &text) {
  const std::size_t space = std::min(text.find(' '), text.size());
  return {text.substr(0, space), text.substr(std::min(space + 1, text.size()))};
}

class TableReader {
 public:
  TableReader(const std::filesystem::path &path, std::vector<Case> &cases) : path_(path), cases_(cases) {}

  void read() {
    std::ifstream in(path_, std::ios::binary);
    for (std::string line; std::getline(in, line);) {
      ++number_;
      if (line.starts_with('@'))
        directive(line.substr(1));
      else
        text(line);
    }
  }

 private:
  std::string where() const { return path_.filename().string() + ":" + std::to_string(number_); }

  void text(const std::string &line) {
    if (file_ == nullptr) {
      if (!line.empty() && !line.starts_with('#'))
        throw std::runtime_error(where() + ": text outside of a file");
      return;
    }
    if (!escaped_)
      *file_ += line + "\n";
    else if (line.ends_with("\\c"))
      *file_ += unescape(std::string_view(line).substr(0, line.size() - 2));
    else
      *file_ += unescape(line) + "\n";
  }

  void directive(const std::string &line) {
    const auto [word, rest] = split(line);
    file_ = nullptr;
    if (word == "case") {
      cases_.push_back({.name = rest, .where = where()});
      return;
    }
    Case &current = cases_.back();
    const auto [name, value] = split(rest);
    if (word == "file" || word == "escaped") {
      file_ = &current.files[rest];
      escaped_ = word == "escaped";
    } else if (word == "request") {
      current.method = name;
      current.url = value;
    } else if (word == "header") {
      current.headers[name.substr(0, name.size() - 1)] = value;
    } else if (word == "give" || word == "system") {
      current.give[name] = unescape(value);
    } else if (word == "keep") {
      current.keep.push_back(rest);
    } else if (word == "error") {
      current.error = {static_cast<unsigned>(std::stoul(name)), value};
    } else if (word == "diagnostic") {
      current.diagnostics.push_back(rest);
    } else if (word != "unlike-apache") {
      throw std::runtime_error(where() + ": unknown @" + word);
    }
  }

  const std::filesystem::path &path_;
  std::vector<Case> &cases_;
  std::string *file_ = nullptr;
  bool escaped_ = false;
  unsigned number_ = 0;
};

}  // namespace

std::vector<Case> read_cases(const std::string &directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto &entry : std::filesystem::directory_iterator(directory))
    if (entry.path().extension() == ".cases") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Case> cases;
  for (const auto &path : paths) TableReader(path, cases).read();
  return cases;
}

}  // namespace paddock::htaccess
