#include "policies/serving_section.h"

namespace paddock::policies {

void read_serving(Section &section, Serving &serving) {
  if (const auto htaccess = section.boolean("htaccess")) serving.htaccess = *htaccess;
  if (const auto slow = section.duration("slow_log", std::chrono::milliseconds(0), std::chrono::hours(24)))
    serving.slow = *slow;
}

}  // namespace paddock::policies
