#include "trainer/memory_plan.h"

#include <algorithm>
#include <vector>

#include "dist/gradient_reducer.h"
#include "kernels/workspace.h"
#include "model/architecture.h"
#include "model/memory_plan.h"
#include "trainer/initial_state.h"
#include "trainer/optimizer.h"

namespace longhaul::trainer {

namespace {

using core::MemoryTally;

/// The allocations of a run, from its beginning to the end of its first step.
class Replay {
 public:
  explicit Replay(const MemoryQuestion& question) : q_(question) {}

  MemoryPlan of_rank(int sequence_rank) {
    const auto elements = model::flat_elements(model::parameters_of(q_.model));
    plan_.parameters = hold({master(), elements});
    if (q_.dtype != master()) plan_.parameters += hold({q_.dtype, elements});  // the rounded copy
    plan_.gradients = hold({master(), elements});
    hold_states();
    hold_moments(elements);
    if (records()) hold_recorded();
    if (q_.device == core::DeviceKind::kCuda) {
      const int64_t before = tally_.in_use();
      plan_.libraries = hold({tally_, kernels::gemm_workspace(q_.device)}, before);
    }
    run_micro_step(sequence_rank);
    measure_states();
    measure_gradients(elements);
    gather_parameters(elements);
    plan_.peak = tally_.peak();
    plan_.reserved = tally_.reserved();
    plan_.buckets_under_way = buckets_under_way(elements);
    plan_.checkpoint_copy = checkpoint_copy(elements * core::size_of(master()));
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

  core::DType master() const { return core::state_dtype(q_.dtype); }
  int ranks() const { return q_.mesh.data * q_.mesh.sequence; }
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
    // Rank 0 owns no less than any other.
    const int64_t owned = is_sharded() ? shards(elements).owned(0) : elements;
    plan_.optimizer = hold({master(), owned});
    plan_.optimizer += hold({master(), owned});
  }

  void run_micro_step(int sequence_rank) {
    const auto& batch = q_.trainer.batch;
    // The first segment is the longest.
    const auto whole = dist::segment_of(batch.length, static_cast<int>(batch.segments), 0);
    const auto own = dist::segment_of(whole.length(), q_.mesh.sequence, sequence_rank);
    MemoryTally::Block tokens, labels;
    if (!records()) {
      tokens = tally_.tensor(core::DType::kI32, {rows(), own.length()});
      labels = tally_.tensor(core::DType::kI32, {rows(), own.length()});
    }
    const model::StepMemory step = model::plan_step(q_.model,
                                                    {.device = q_.device,
                                                     .dtype = q_.dtype,
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

  /// Norms of final states.
  void measure_states() {
    std::vector<int64_t> elements;
    for (const model::StateSpec& spec : model::state_specs_of(q_.model)) {
      elements.push_back(rows() * spec.shape.elements());
    }
    tally_.op(kernels::sums_of_squares_workspace(q_.device, elements));
  }

  /// The norm of the gradients, of the own ones where they are shared.
  void measure_gradients(int64_t elements) {
    const int64_t own = is_sharded() ? shards(elements).owned(0) : elements;
    const int64_t block = norm_block(elements);
    tally_.op(kernels::block_sums_workspace(q_.device, (own + block - 1) / block));
  }

  /// ZeRO-1's last bucket on its way to all.
  void gather_parameters(int64_t elements) {
    const int64_t padded = is_sharded() ? shards(elements).padded() : 0;
    if (padded > 0) tally_.op({padded * core::size_of(master())});
  }

  /// What the host communicator has of buckets while it sums them; NCCL sums where they lie.
  int64_t buckets_under_way(int64_t elements) const {
    if (ranks() == 1 || q_.device != core::DeviceKind::kCpu || elements == 0) return 0;
    int64_t bucket = q_.trainer.bucket_bytes / core::size_of(master());
    if (is_sharded()) {
      const auto first = shards(elements).buckets().front();
      bucket = first.end - first.begin;
    }
    return std::min(elements, dist::GradientReducer::kMostUnderWay * bucket) *
           core::size_of(master());
  }

  bool records() const {
    return q_.trainer.cuda_graphs && q_.device == core::DeviceKind::kCuda && q_.mesh.sequence == 1;
  }
  /// RecordedPass of each segment, and of the first one where it adds to gradients.
  void hold_recorded() {
    const auto& batch = q_.trainer.batch;
    const auto segments = static_cast<int>(batch.segments);
    for (int i = 0; i < segments; ++i) hold_recorded_pass(i);
    if (batch.accumulation > 1) hold_recorded_pass(0);
  }
  void hold_recorded_pass(int segment) {
    const auto& batch = q_.trainer.batch;
    const int64_t length =
        dist::segment_of(batch.length, static_cast<int>(batch.segments), segment).length();
    hold({core::DType::kI32, rows() * length});
    hold({core::DType::kI32, rows() * length});
    hold({core::DType::kF64, rows() * length});
  }

  bool is_sharded() const { return q_.trainer.shard_optimizer && ranks() > 1; }
  dist::ShardLayout shards(int64_t elements) const {
    const int64_t bucket = q_.trainer.bucket_bytes / core::size_of(master());
    return optimizer_shards(elements, ranks(), bucket);
  }

  /// Moments are spread over the ranks, weights over as many as there are files of them
  /// (shared_weight_files); `bytes`: of the parameters.
  int64_t checkpoint_copy(int64_t bytes) const {
    const int64_t share = (bytes + ranks() - 1) / ranks();
    const auto file = static_cast<int64_t>(q_.trainer.checkpoint.shard_mib * (1 << 20));
    const InitialStateConfig& source = q_.trainer.initial_state;
    const bool passes = source.source == SourceKind::kStatePassing;
    const bool carries = source.source == SourceKind::kTbtt;
    int64_t states = 0;
    for (const model::StateSpec& spec : model::state_specs_of(q_.model)) {
      const bool is_conv = spec.kind == model::StateKind::kConv;
      const bool stored =
          (passes && (!is_conv || source.pass_conv)) || (carries && (!is_conv || source.tbtt_conv));
      if (stored) states += rows() * spec.shape.elements() * core::size_of(master());
    }
    return 2 * share + std::min(bytes, std::max(share, file)) + states;
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
