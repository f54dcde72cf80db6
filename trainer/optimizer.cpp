#include "trainer/optimizer.h"

#include <glog/logging.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <utility>

#include "dist/shard_gather.h"
#include "kernels/optimizer/adamw.h"

namespace longhaul::trainer {

namespace {

/// The whole buffer as one rank's only piece.
dist::ShardLayout one_shard(int64_t elements) {
  return dist::ShardLayout({.elements = elements, .ranks = 1});
}

/// Decayed parameters and others, as ranges that cover the buffer. Gaps between parameters go with
/// the parameter before them: zeros stay zeros under AdamW.
template <class Range>
std::vector<Range> ranges_of_equal_decay(const model::ParameterSet& parameters) {
  std::vector<Range> ranges;
  for (const model::Parameter& parameter : parameters.list()) {
    if (ranges.empty() || ranges.back().decay != parameter.decay) {
      if (!ranges.empty()) ranges.back().end = parameter.begin;
      ranges.push_back({parameter.begin, 0, parameter.decay});
    }
  }
  if (!ranges.empty()) ranges.back().end = parameters.values().elements();
  return ranges;
}

}  // namespace

int64_t norm_block(int64_t elements) {
  // At most so many sums travel; at least a cache line of elements is summed at once.
  constexpr uint64_t kMostSums = 1 << 18;
  constexpr uint64_t kSmallestBlock = 16;
  const auto even_share = static_cast<uint64_t>(elements) / kMostSums;
  return static_cast<int64_t>(std::bit_ceil(std::max(even_share, kSmallestBlock)));
}

dist::ShardLayout optimizer_shards(int64_t elements, int ranks, int64_t bucket_elements) {
  return dist::ShardLayout({.elements = elements,
                            .ranks = ranks,
                            .bucket = std::max<int64_t>(1, bucket_elements),
                            .block = norm_block(elements)});
}

Optimizer::Optimizer(core::Context& context, model::ParameterSet& parameters,
                     const OptimizerConfig& config)
    : context_(context),
      parameters_(parameters),
      config_(config),
      layout_(one_shard(parameters.values().elements())),
      ranges_(ranges_of_equal_decay<Range>(parameters)) {
  const core::TensorView values = parameters.values();
  const core::DType dtype = core::state_dtype(values.dtype());
  first_moment_ = core::Tensor::zeros(context, dtype, values.shape());
  second_moment_ = core::Tensor::zeros(context, dtype, values.shape());
}

Optimizer::Optimizer(core::Context& context, model::ParameterSet& parameters,
                     const OptimizerConfig& config, dist::Communicator& group,
                     dist::ShardLayout layout)
    : context_(context),
      parameters_(parameters),
      config_(config),
      group_(&group),
      layout_(std::move(layout)),
      ranges_(ranges_of_equal_decay<Range>(parameters)) {
  const int64_t elements = parameters.values().elements();
  CHECK(layout_.elements() == elements && layout_.ranks() == group.size());
  CHECK(group.size() == 1 || layout_.block() == norm_block(elements));
  const core::DType dtype = core::state_dtype(parameters.values().dtype());
  first_moment_ = core::Tensor::zeros(context, dtype, {layout_.owned(rank())});
  second_moment_ = core::Tensor::zeros(context, dtype, {layout_.owned(rank())});
}

std::vector<Optimizer::Part> Optimizer::parts() const {
  std::vector<Part> parts;
  int64_t next = 0;
  for (const auto& bucket : layout_.buckets()) {
    const dist::Piece piece = layout_.piece(bucket, rank());
    const int64_t end = next + piece.elements();
    parts.push_back({.begin = piece.begin,
                     .first_moment = first_moment_.view().slice(0, next, end),
                     .second_moment = second_moment_.view().slice(0, next, end)});
    next = end;
  }
  return parts;
}

double Optimizer::gradient_norm() {
  const int64_t block = norm_block(elements());
  const auto blocks_of = [&](const dist::ShardLayout::Bucket& bucket, int of) {
    return (layout_.piece(bucket, of).elements() + block - 1) / block;
  };
  // The sums of each rank, as many as the first one has, lie behind each other.
  const int64_t most = (layout_.owned(0) + block - 1) / block;
  block_sums_.assign(static_cast<size_t>(layout_.ranks() * most), 0.0);
  const core::TensorView all(block_sums_.data(), core::DType::kF64, {layout_.ranks() * most});
  const core::TensorView own = all.slice(0, rank() * most, (rank() + 1) * most);
  std::vector<kernels::BlockSums> sums;
  int64_t next = 0;
  for (const auto& bucket : layout_.buckets()) {
    const dist::Piece piece = layout_.piece(bucket, rank());
    if (piece.elements() == 0) continue;
    const int64_t end = next + blocks_of(bucket, rank());
    sums.push_back({.x = parameters_.gradients().slice(0, piece.begin, piece.end),
                    .block = block,
                    .sums = own.slice(0, next, end)});
    next = end;
  }
  kernels::block_sums_of_squares(context_, sums);
  if (is_sharded()) group_->all_gather(own, all);
  double total = 0;
  next = 0;
  for (const auto& bucket : layout_.buckets()) {  // in the order of the buffer
    for (int r = 0; r < layout_.ranks(); ++r) {
      const double* first = block_sums_.data() + r * most + next;
      for (int64_t i = 0; i < blocks_of(bucket, r); ++i) total += first[i];
    }
    next += blocks_of(bucket, 0);
  }
  return std::sqrt(total);
}

void Optimizer::update(const Part& part, double rate, double gradient_scale) {
  const int64_t part_end = part.begin + part.first_moment.elements();
  for (const Range& range : ranges_) {
    const int64_t begin = std::max(range.begin, part.begin), end = std::min(range.end, part_end);
    if (begin >= end) continue;
    kernels::adamw_step(
        context_,
        {.weight = parameters_.values().slice(0, begin, end),
         .gradient = parameters_.gradients().slice(0, begin, end),
         .first_moment = part.first_moment.slice(0, begin - part.begin, end - part.begin),
         .second_moment = part.second_moment.slice(0, begin - part.begin, end - part.begin),
         .rounded = parameters_.rounded() ? parameters_.rounded().slice(0, begin, end)
                                          : core::TensorView{},
         .rate = rate,
         .beta1 = config_.beta1,
         .beta2 = config_.beta2,
         .epsilon = config_.epsilon,
         .decay = range.decay ? config_.decay : 0,
         .gradient_scale = gradient_scale,
         .step = steps_});
  }
}

void Optimizer::update_and_gather(double rate, double gradient_scale) {
  const core::TensorView values = parameters_.values();
  core::Tensor padding;
  std::optional<dist::ShardGather> gather;
  if (is_sharded()) {
    if (layout_.padded() > 0) padding = core::Tensor(context_, values.dtype(), {layout_.padded()});
    gather.emplace(*group_, values, layout_,
                   dist::ShardGather::Padding{
                       padding, [this](const core::TensorView& from, const core::TensorView& to) {
                         core::copy(context_, from, to);
                       }});
  }
  const std::vector<Part> own = parts();
  for (size_t i = 0; i < own.size(); ++i) {
    update(own[i], rate, gradient_scale);
    if (gather) gather->start(layout_.buckets()[i]);
  }
  if (!gather) return;
  gather->finish();
  parameters_.update_rounded();  // of the pieces that others updated
}

Optimizer::Outcome Optimizer::step(double rate, bool finite) {
  Outcome outcome;
  outcome.gradient_norm = gradient_norm();
  outcome.skipped = !finite || !std::isfinite(outcome.gradient_norm);
  if (!outcome.skipped) {
    ++steps_;
    const bool clips = config_.clip > 0 && outcome.gradient_norm > config_.clip;
    update_and_gather(rate, clips ? config_.clip / outcome.gradient_norm : 1);
  }
  return outcome;
}

}  // namespace longhaul::trainer
