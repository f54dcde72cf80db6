#include "trainer/memory_plan.h"

#include <algorithm>
#include <vector>

#include "model/memory_plan.h"
#include "model/parameter_list.h"
#include "trainer/initial_state.h"
#include "trainer/optimizer.h"

namespace longhaul::trainer {

namespace {

using core::MemoryTally;

/// The allocations of a run, from its beginning to the end of its first micro-step.
class Replay {
 public:
  explicit Replay(const MemoryQuestion& question) : q_(question) {}

  MemoryPlan of_rank(int sequence_rank) {
    const auto elements = model::flat_elements(model::mamba2_parameters(q_.model));
    const core::DType master = core::state_dtype(q_.dtype);
    plan_.parameters = hold({master, elements});
    if (q_.dtype != master) plan_.parameters += hold({q_.dtype, elements});  // the rounded copy
    plan_.gradients = hold({master, elements});
    hold_states();
    hold_moments(elements);
    run_micro_step(sequence_rank);
    const int ranks = q_.mesh.data * q_.mesh.sequence;
    plan_.buckets_under_way = ranks > 1 ? elements * core::size_of(master) : 0;
    plan_.peak = tally_.peak();
    return plan_;
  }

 private:
  int64_t hold(MemoryTally::Block block, int64_t before) {
    held_.push_back(std::move(block));
    return tally_.in_use() - before;
  }
  struct Flat {
    core::DType dtype;
    int64_t elements;
  };
  int64_t hold(const Flat& flat) {
    const int64_t before = tally_.in_use();
    return hold(tally_.tensor(flat.dtype, {flat.elements}), before);
  }

  int64_t rows() const {
    return q_.trainer.batch.sequences / (q_.trainer.batch.accumulation * q_.mesh.data);
  }

  void hold_states() {
    constexpr int kOfMicroStep = 2;
    const int64_t before = tally_.in_use();
    const int count = states_held(q_.trainer.initial_state.source) + kOfMicroStep;
    for (int i = 0; i < count; ++i) {
      for (auto& block : model::plan_state(q_.model, q_.dtype, rows(), tally_)) {
        held_.push_back(std::move(block));
      }
    }
    plan_.states = tally_.in_use() - before;
  }

  void hold_moments(int64_t elements) {
    const int ranks = q_.trainer.shard_optimizer ? q_.mesh.data * q_.mesh.sequence : 1;
    const int64_t bucket = q_.trainer.bucket_bytes / core::size_of(core::state_dtype(q_.dtype));
    // Rank 0 owns no less than any other.
    const int64_t owned =
        ranks == 1 ? elements : optimizer_shards(elements, ranks, bucket).owned(0);
    plan_.optimizer = hold({core::state_dtype(q_.dtype), owned});
    plan_.optimizer += hold({core::state_dtype(q_.dtype), owned});
  }

  void run_micro_step(int sequence_rank) {
    const auto& batch = q_.trainer.batch;
    // The first segment is the longest.
    const auto whole = dist::segment_of(batch.length, static_cast<int>(batch.segments), 0);
    const auto own = dist::segment_of(whole.length(), q_.mesh.sequence, sequence_rank);
    const MemoryTally::Block tokens = tally_.tensor(core::DType::kI32, {rows(), own.length()});
    const MemoryTally::Block labels = tally_.tensor(core::DType::kI32, {rows(), own.length()});
    const model::StepMemory step = model::plan_step(q_.model,
                                                    {.dtype = q_.dtype,
                                                     .batch = rows(),
                                                     .length = own.length(),
                                                     .recompute = batch.recompute,
                                                     .threads = q_.threads,
                                                     .sequence_ranks = q_.mesh.sequence,
                                                     .sequence_rank = sequence_rank,
                                                     .exchange = q_.trainer.exchange,
                                                     .full_gradient = q_.trainer.full_gradient},
                                                    tally_);
    plan_.activations = step.kept;
    plan_.loss = step.loss;
    plan_.exchange = step.exchange;
  }

  const MemoryQuestion& q_;
  MemoryTally tally_;
  std::vector<MemoryTally::Block> held_;
  MemoryPlan plan_;
};

}  // namespace

MemoryPlan plan_memory_of_rank(const MemoryQuestion& question, int sequence_rank) {
  return Replay(question).of_rank(sequence_rank);
}

MemoryPlan plan_memory(const MemoryQuestion& question) {
  MemoryPlan most;
  for (int rank = 0; rank < question.mesh.sequence; ++rank) {
    const MemoryPlan plan = plan_memory_of_rank(question, rank);
    if (plan.peak > most.peak) most = plan;
  }
  return most;
}

}  // namespace longhaul::trainer
