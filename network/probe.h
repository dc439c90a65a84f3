// Whether this kernel can do what networks of tenants need, for `paddock doctor` and the tests.
#pragma once

#include "base/result.h"

namespace paddock::network {

// Makes a link and a ruleset in a network namespace that is thrown away, by a child. Needs root. The Error
// says what the kernel lacks.
Result<void> probe_kernel();

// In a child with a network namespace of its own; 0 for a success.
int in_private_network(int (*action)(void *), void *argument);

}  // namespace paddock::network
