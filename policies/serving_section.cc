#include "policies/serving_section.h"

namespace paddock::policies {

void read_serving(Section &section, Serving &serving) {
  if (const auto htaccess = section.boolean("htaccess")) serving.htaccess = *htaccess;
}

}  // namespace paddock::policies
