#include "trainer/step_batches.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "dist/all_ranks.h"
#include "kernels/core/error.h"

namespace longhaul::trainer {

StepBatches next_batches(const TrainerParts& parts, int64_t micro_steps) {
  dist::Communicator& world = parts.mesh.world();
  StepBatches batches;
  int64_t own = 0;
  const std::string position = parts.batches.position();
  std::exception_ptr own_failure;
  const auto start = std::chrono::steady_clock::now();
  try {
    for (int64_t i = 0; i < micro_steps; ++i) {
      const data::Batch& batch = batches.micro.emplace_back(parts.batches.next());
      own +=
          std::count_if(batch.labels.begin(), batch.labels.end(), [](int32_t l) { return l >= 0; });
    }
  } catch (const core::Error&) {
    own_failure = std::current_exception();
  }
  // The ranks of a sequence group have the same sequences.
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::vector<double> sums{parts.mesh.sequence_rank() == 0 ? static_cast<double>(own) : 0.0,
                           own_failure ? 1.0 : 0.0, took.count()};
  world.all_reduce_sum({sums.data(), core::DType::kF64, {3}});
  batches.labels = static_cast<int64_t>(sums[0]);
  batches.seconds = sums[2] / world.size();
  if (sums[1] == 0) return batches;
  parts.batches.restore(position);
  try {
    dist::on_all_ranks(world, "reading data", [&] {
      if (own_failure) std::rethrow_exception(own_failure);
    });
  } catch (const core::Error&) {
    batches.failure = std::current_exception();
  }
  return batches;
}

}  // namespace longhaul::trainer
