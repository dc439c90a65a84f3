#include "php_worker/title.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

namespace paddock::php_worker {
namespace {

constexpr std::size_t kWanted = 256;

char *area = nullptr;
std::size_t area_size = 0;
std::size_t used = 0;

}  // namespace

bool has_title_space(int argc, char **argv) {
  return std::any_of(argv, argv + argc, [](const char *argument) {
    return std::string_view(argument).starts_with(kTitleSpace);
  });
}

void execute_with_title_space(const char *program, int argc, char **argv) {
  std::string padding(kTitleSpace);
  padding.append(kWanted, '-');
  std::vector<char *> arguments(argv, argv + argc);
  arguments.push_back(padding.data());
  arguments.push_back(nullptr);
  ::execv(program, arguments.data());
}

void use_title_space(int argc, char **argv) {
  ::prctl(PR_SET_NAME, "paddock-php");  // execve(2) has named it after the program
  if (argc < 1) return;
  char *end = argv[0];
  for (int i = 0; i < argc; ++i) {
    if (argv[i] != end) break;  // not in one piece: leave the rest alone
    end += std::strlen(argv[i]) + 1;
  }
  area = argv[0];
  area_size = used = static_cast<std::size_t>(end - argv[0]);
}

void set_title(std::string_view first, std::string_view second, std::string_view third,
               std::string_view fourth) {
  if (area_size == 0) return;
  std::size_t at = 0;
  for (const std::string_view part : {first, second, third, fourth}) {
    for (const char c : part) {
      if (at + 1 >= area_size) break;
      area[at++] = c >= ' ' && c <= '~' ? c : '?';
    }
  }
  // The last byte stays NUL: otherwise the kernel would go on into the environment (fs/proc/base.c,
  // get_mm_cmdline).
  if (used > at) std::memset(area + at, 0, used - at);
  used = at;
}

}  // namespace paddock::php_worker
