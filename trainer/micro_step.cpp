#include "trainer/micro_step.h"

#include <glog/logging.h>

#include <algorithm>
#include <string>
#include <utility>

#include "kernels/core/error.h"
#include "model/state_handover.h"

namespace longhaul::trainer {

namespace {

/// Why passes are not recorded, where they should be; empty if they can.
std::string obstacle_to_graphs(const core::Context& context, const dist::Mesh& mesh) {
  if (context.device().is_cpu()) return "this rank computes on the cpu";
  if (mesh.shape().sequence > 1) return "states travel between sequence ranks during a pass";
  return "";
}

}  // namespace

MicroStep::MicroStep(const TrainerConfig& config, const TrainerParts& parts, int64_t rows)
    : context_(parts.context),
      mesh_(parts.mesh),
      model_(parts.model),
      rows_(rows),
      length_(config.batch.length),
      recompute_(config.batch.recompute),
      full_gradient_(config.full_gradient),
      states_{parts.model.make_state(rows), parts.model.make_state(rows)} {
  const int ranks = mesh_.shape().sequence;
  const int count = static_cast<int>(config.batch.segments);
  if (config.batch.segments > length_ / ranks) {
    throw core::InputError(core::message("data.length: is ", length_, ", expected at least one ",
                                         "token for each of ", config.batch.segments,
                                         " segments on ", ranks, " sequence ranks"));
  }
  if (ranks > 1) {
    exchange_ = std::make_unique<dist::StateExchange>(
        context_, mesh_.sequence_group(), config.exchange,
        rows * model::largest_state(model_.state_specs()), rows * model_.config().log_decays());
  }
  for (int i = 0; i < count; ++i) {
    const dist::Segment whole = dist::segment_of(length_, count, i);
    const dist::Segment own = dist::segment_of(whole.length(), ranks, mesh_.sequence_rank());
    segments_.push_back({whole.begin + own.begin, whole.begin + own.end});
    if (ranks == 1) continue;
    std::vector<int64_t> lengths;
    for (int rank = 0; rank < ranks; ++rank) {
      lengths.push_back(dist::segment_of(whole.length(), ranks, rank).length());
    }
    halos_.push_back(
        std::make_unique<dist::HaloExchange>(context_, mesh_.sequence_group(), std::move(lengths)));
  }
  if (!config.cuda_graphs) return;
  const std::string obstacle = obstacle_to_graphs(context_, mesh_);
  if (!obstacle.empty()) {
    if (mesh_.world().rank() == 0) LOG(WARNING) << "parallel.cuda_graphs: not used, " << obstacle;
    return;
  }
  for (const dist::Segment& segment : segments_) {
    recorded_.push_back(std::make_unique<RecordedPass>(model_, rows, segment.length()));
  }
  if (config.batch.accumulation > 1) {
    recorded_.push_back(std::make_unique<RecordedPass>(model_, rows, segments_.front().length()));
  }
}

double MicroStep::run(const Work& work) {
  CHECK_EQ(work.batch.sequences, rows_);
  CHECK_EQ(work.batch.length, length_);
  double loss_sum = 0;
  const model::RecurrentState* initial = &work.initial;
  for (size_t i = 0; i < segments_.size(); ++i) {
    const bool is_last = i + 1 == segments_.size();
    model::SequenceParallel parallel{.states = exchange_.get(),
                                     .halo = exchange_ ? halos_[i].get() : nullptr,
                                     .full_gradient = full_gradient_};
    model::RecurrentState& final_state = states_[i % 2];
    const model::TrainStep step{.initial = initial,
                                .scale = work.scale,
                                .final_state = &final_state,
                                .dfinal = nullptr,
                                .dinitial = nullptr,
                                .parallel = exchange_ ? &parallel : nullptr,
                                .overwrite_gradients = work.overwrite_gradients && i == 0,
                                .recompute = recompute_,
                                .gradients_ready = is_last ? work.gradients_ready : nullptr};
    loss_sum += run_segment(work, i, step);
    if (exchange_ && !is_last) model::hand_to_first_rank(mesh_.sequence_group(), final_state);
    initial = &final_state;
  }
  if (exchange_ && work.share_final_state) {
    dist::Communicator& group = mesh_.sequence_group();
    // The last rank is through with backward first: its final states would take the link that the
    // others' gradients still need.
    group.barrier();
    std::vector<std::unique_ptr<dist::Pending>> under_way;
    for (size_t i = 0; i < initial->size(); ++i) {
      under_way.push_back(group.start_broadcast((*initial)[i], group.size() - 1));
    }
    for (const auto& each : under_way) each->wait();
  }
  return loss_sum;
}

/// nullptr: none.
RecordedPass* MicroStep::recorded(const Work& work, size_t index) const {
  if (recorded_.empty()) return nullptr;
  const bool has_adding = recorded_.size() > segments_.size();
  const bool adds = index == 0 && !work.overwrite_gradients;
  return (adds && has_adding ? recorded_.back() : recorded_[index]).get();
}

/// `step` but for tokens and labels.
double MicroStep::run_segment(const Work& work, size_t index, model::TrainStep step) {
  const core::TensorView tokens = columns(work.batch.tokens, segments_[index]);
  const core::TensorView labels = columns(work.batch.labels, segments_[index]);
  if (RecordedPass* pass = recorded(work, index)) return pass->run(tokens, labels, std::move(step));
  const core::Tensor own_tokens = core::Tensor::copy_of(context_, tokens);
  const core::Tensor own_labels = core::Tensor::copy_of(context_, labels);
  step.tokens = own_tokens;
  step.labels = own_labels;
  return model_.forward_backward(step).sum;
}

/// On the host.
core::TensorView MicroStep::columns(const std::vector<int32_t>& values,
                                    const dist::Segment& own) const {
  const core::TensorView whole(const_cast<int32_t*>(values.data()), core::DType::kI32,
                               {rows_, length_});
  return whole.slice(1, own.begin, own.end);
}

}  // namespace longhaul::trainer
