// The tables of history.db, and how a file of an older version becomes one of this.
#pragma once

#include "accounting/counters.h"
#include "accounting/database.h"

namespace paddock::accounting {

// Brings the file to this version's schema, in one transaction; which migrations it has had is in the table
// migrations. ENOTSUP: a later Paddock wrote it; the file is left as it is.
Result<void> migrate(Database &database, Time now);

}  // namespace paddock::accounting
