// Sums of gradients while backward runs, and ZeRO-1's update and gathering of parameters: the
// buckets of dist/gradient_reducer.h and dist/shard_gather.h, one after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/scaling/collectives.h"
#include "bench/scaling/pass_time.h"

namespace longhaul::bench {

/// The flat buffer: embedding, layers in order, head.
struct GradientBuffer {
  int64_t embedding = 0, layer = 0, layers = 0, head = 0;  ///< elements
  int64_t elements() const { return embedding + layers * layer + head; }
};

struct GradientCase {
  const Network& network;
  Group world;
  GradientBuffer buffer;
  int64_t bucket_bytes = int64_t{4} << 20;
  bool shards = false;  ///< ZeRO-1
  double element_bytes = 4;
};

/// Seconds after `pass` began at which every rank holds the sums.
double time_of_reduction(const GradientCase& gradients, const PassTimes& pass);

/// Seconds from the start of an update that takes `update_s` until all parameters are everywhere.
double time_of_update(const GradientCase& gradients, double update_s);

/// Bytes that a rank sends: for sums, and for parameters under ZeRO-1.
double reduction_bytes(const GradientCase& gradients);
double gathering_bytes(const GradientCase& gradients);

int64_t buckets_of(const GradientCase& gradients);

}  // namespace longhaul::bench
