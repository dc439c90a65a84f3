// How long a worker waits for a peer that is silent, in one place. A worker that waits serves nobody.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace paddock::php_worker {

// With a relief (relief.h), in all, for a request that does not come or for the end of one: what takes longer
// is given away. Every 64 KiB that came earn a little more, so that a body that flows is not.
inline constexpr std::chrono::microseconds kMoment{10'000};
inline constexpr std::chrono::microseconds kMomentEarned{2'000};
inline constexpr std::chrono::microseconds kLongestMoment{20'000};
// … while others wait for a worker,
inline constexpr std::chrono::microseconds kShortMoment{1'000};
// … and hardly any when one was given away so short a time ago: they come in swarms.
inline constexpr std::chrono::microseconds kSwarmMoment{250};
inline constexpr std::chrono::milliseconds kSwarm{50};

// For a peer to take its answer, as kMoment; what takes longer is put by, and given away at its end.
// A peer for whom so much is put by that no more may be has to take this much
inline constexpr std::uint64_t kLeastTaken = std::uint64_t{64} * 1024;
// in this time while others wait for a worker (else in the plan's send_time), or its answer is cut off.
inline constexpr std::chrono::milliseconds kCrowdedPatience{1'000};

// The rest is without a relief, or where it fails.
//
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
