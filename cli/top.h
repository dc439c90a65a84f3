// `paddock top`: who uses the machine now, live.
#pragma once

#include <cstdint>
#include <string>

#include "cli/session.h"
#include "cli/top_model.h"

namespace paddock::cli {

struct TopOptions {
  bool batch = false;        // lines instead of a picture; so is session.json
  double interval = 2;       // seconds
  std::uint32_t count = 0;   // of --batch: tables; 0: without end
  std::string sort = "cpu";  // one of kTopOrders
  std::string filter;
};
ExitStatus top(const Session &session, const TopOptions &options);

}  // namespace paddock::cli
