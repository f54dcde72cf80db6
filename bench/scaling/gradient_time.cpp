#include "bench/scaling/gradient_time.h"

#include <algorithm>

namespace longhaul::bench {

namespace {

int64_t bucket_elements(const GradientCase& gradients) {
  return std::max<int64_t>(1,
                           gradients.bucket_bytes / static_cast<int64_t>(gradients.element_bytes));
}

double bytes_of(const GradientCase& gradients, int64_t elements) {
  return gradients.element_bytes * static_cast<double>(elements);
}

/// When element `index`, and with it all that follow, has its gradient: backward announces from the
/// end to the front; the embedding's comes last, since the head shares it or it is the first layer.
double ready_at(const GradientBuffer& buffer, const PassTimes& pass, int64_t index) {
  if (index < buffer.embedding) return pass.end;
  const int64_t layer = (index - buffer.embedding) / std::max<int64_t>(1, buffer.layer);
  return layer < buffer.layers ? pass.layer_ready[static_cast<size_t>(layer)] : pass.head_ready;
}

CollectiveCost reduction_cost(const GradientCase& gradients, int64_t elements) {
  const double bytes = bytes_of(gradients, elements);
  return gradients.shards ? reduce_scatter_cost(gradients.network, gradients.world, bytes)
                          : all_reduce_cost(gradients.network, gradients.world, bytes);
}

CollectiveCost gathering_cost(const GradientCase& gradients, int64_t elements) {
  return all_gather_cost(
      gradients.network, gradients.world,
      bytes_of(gradients, elements) / static_cast<double>(gradients.world.ranks));
}

}  // namespace

int64_t buckets_of(const GradientCase& gradients) {
  const int64_t size = bucket_elements(gradients);
  return (gradients.buffer.elements() + size - 1) / size;
}

double time_of_reduction(const GradientCase& gradients, const PassTimes& pass) {
  if (gradients.world.ranks == 1) return pass.end;
  const int64_t size = bucket_elements(gradients);
  double free = 0, latency = 0;
  for (int64_t end = gradients.buffer.elements(); end > 0; end -= size) {
    const int64_t begin = std::max<int64_t>(0, end - size);
    const CollectiveCost cost = reduction_cost(gradients, end - begin);
    const double ready =
        gradients.network.overlaps ? ready_at(gradients.buffer, pass, begin) : pass.end;
    free = std::max(free, ready) + cost.busy;
    latency = cost.latency;
  }
  return std::max(pass.end, free + latency);
}

double time_of_update(const GradientCase& gradients, double update_s) {
  if (gradients.world.ranks == 1 || !gradients.shards) return update_s;
  const int64_t size = bucket_elements(gradients), buckets = buckets_of(gradients);
  double updated = 0, free = 0, latency = 0;
  for (int64_t begin = 0; begin < gradients.buffer.elements(); begin += size) {
    const int64_t elements = std::min(size, gradients.buffer.elements() - begin);
    updated += update_s / static_cast<double>(buckets);
    const CollectiveCost cost = gathering_cost(gradients, elements);
    free = std::max(free, gradients.network.overlaps ? updated : update_s) + cost.busy;
    latency = cost.latency;
  }
  return free + latency;
}

double reduction_bytes(const GradientCase& gradients) {
  return reduction_cost(gradients, gradients.buffer.elements()).bytes;
}

double gathering_bytes(const GradientCase& gradients) {
  return gradients.shards ? gathering_cost(gradients, gradients.buffer.elements()).bytes : 0;
}

}  // namespace longhaul::bench
