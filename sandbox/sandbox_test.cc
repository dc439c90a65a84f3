#include "sandbox/sandbox.h"

#include <catch2/catch.hpp>

#include "base/file.h"
#include "sandbox/test_sandbox.h"
using namespace paddock;
using namespace paddock::sandbox;

TEST_CASE("hello") {
  const HostDirectory host;
  const auto out =
      run(host.home, [] { return *read_file("/proc/self/status") + *read_file("/proc/self/mountinfo"); });
  WARN(out.failure << "\n" << out.said << "\n" << out.took.count());
}
