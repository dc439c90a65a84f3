// How long a worker waits for a peer that is silent, in one place. A worker that waits serves nobody.
#pragma once

#include <chrono>
#include <cstddef>

namespace paddock::php_worker {

// From accept to the end of the params, in all: a peer that dribbles gains nothing. Web servers write them at
// once.
inline constexpr std::chrono::milliseconds kParamsPatience{2'000};
// Between two pieces of a body that PHP wants to read.
inline constexpr std::chrono::milliseconds kBodyPatience{60'000};
// Between two pieces of the answer that the peer takes.
inline constexpr std::chrono::milliseconds kWritePatience{60'000};
// After the answer, in all, for what the peer still sends: see Connection::close().
inline constexpr std::chrono::milliseconds kLingerPatience{5'000};

}  // namespace paddock::php_worker
