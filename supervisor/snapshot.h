// What a sandbox is doing right now, for the events.
#pragma once

#include "accounting/snapshot.h"
#include "supervisor/run.h"

namespace paddock::supervisor {

// Its processes by /proc, its running requests by its scoreboard, its memory by the kernel. Costs a few reads
// for each process, of which only so many are looked at as a snapshot keeps.
[[nodiscard]] accounting::Snapshot snapshot_of(const Run &run);

}  // namespace paddock::supervisor
