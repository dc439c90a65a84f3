// The tables under htaccess/cases, for the tests (their README.md says what the lines mean).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace paddock::htaccess {

struct ExpectedError {
  unsigned line = 0;
  std::string message;
};

struct Case {
  std::string name;
  std::string where;                         // "lines.cases:12"
  std::map<std::string, std::string> files;  // path below the document root -> text
  std::string method = "GET";
  std::string url = "/probe.php";
  std::map<std::string, std::string> headers = {{"Host", "localhost"}};
  std::map<std::string, std::string> give;
  std::vector<std::string> keep;
  std::optional<ExpectedError> error;
  std::vector<std::string> diagnostics;
};

// All cases of all *.cases files of a directory. Throws std::runtime_error where a table is wrong.
std::vector<Case> read_cases(const std::string &directory);

}  // namespace paddock::htaccess
