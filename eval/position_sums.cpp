#include "eval/position_sums.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/core/context.h"
#include "kernels/state/state_ops.h"

namespace longhaul::eval {

std::vector<Bucket> log_buckets(int64_t length) {
  std::vector<Bucket> buckets;
  int64_t begin = 0;
  while (begin < length) {
    // 1, 2, 3, 4, 6, 8, 12: a power of two is followed by one and a half of it, that by twice it.
    int64_t end = begin + 1;
    if (begin >= 2) {
      const bool power = (begin & (begin - 1)) == 0;
      end = power ? begin + begin / 2 : begin / 3 * 4;
    }
    end = std::min(end, length);
    buckets.push_back({.begin = begin, .end = end});
    begin = end;
  }
  return buckets;
}

namespace {

/// Of the mean; 0 for fewer than two values.
double standard_error(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  if (n < 2) return 0;
  double mean = 0, squares = 0;
  for (double value : values) mean += value / n;
  for (double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (n - 1) / n);
}

}  // namespace

PositionSums::PositionSums(int64_t sequences, int64_t length,
                           const std::vector<model::StateSpec>& specs)
    : sequences_(sequences), specs_(specs), buckets_(log_buckets(length)) {
  for (const model::StateSpec& spec : specs_) {
    if (spec.kind == model::StateKind::kRecurrent) layers_.push_back(spec.layer);
  }
  std::sort(layers_.begin(), layers_.end());
  layers_.erase(std::unique(layers_.begin(), layers_.end()), layers_.end());
  labels_.resize(static_cast<size_t>(sequences) * buckets_.size());
  states_.resize(buckets_.size() * layers_.size());
}

void PositionSums::add(const LabelRun& run) {
  CHECK(run.labels.size() == run.losses.size() && run.labels.size() == run.predicted.size());
  int64_t position = run.position;
  // The bucket of the first position: the first one that ends after it.
  auto bucket = std::upper_bound(buckets_.begin(), buckets_.end(), position,
                                 [](int64_t p, const Bucket& b) { return p < b.end; });
  for (size_t i = 0; i < run.labels.size(); ++i, ++position) {
    while (position >= bucket->end) ++bucket;
    if (run.labels[i] < 0) continue;
    const auto index = static_cast<size_t>(bucket - buckets_.begin());
    LabelSums& sums = labels_[static_cast<size_t>(run.sequence) * buckets_.size() + index];
    sums.count += 1;
    sums.loss += run.losses[i];
    sums.correct += run.predicted[i] == run.labels[i];
  }
}

int64_t PositionSums::next_state_position(int64_t position) const {
  for (const Bucket& bucket : buckets_) {
    if (bucket.end > position) return bucket.end;
  }
  return position;
}

void PositionSums::add_states(core::Context& context, int64_t position,
                              const model::RecurrentState& state) {
  const auto bucket = std::find_if(buckets_.begin(), buckets_.end(),
                                   [&](const Bucket& b) { return b.end == position; });
  if (bucket == buckets_.end()) return;
  CHECK_EQ(state.size(), specs_.size());
  const size_t row = static_cast<size_t>(bucket - buckets_.begin()) * layers_.size();
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (specs_[i].kind != model::StateKind::kRecurrent) continue;
    const int64_t batch = state.batch(), groups = specs_[i].groups;
    const int64_t elements = specs_[i].shape.elements();
    std::vector<double> sum(static_cast<size_t>(groups)), squares(sum.size());
    kernels::state_moments(
        context, {.state = state[i].view().reshape({batch, groups, elements / groups}),
                  .sum = core::TensorView(sum.data(), core::DType::kF64, {groups}),
                  .sum_of_squares = core::TensorView(squares.data(), core::DType::kF64, {groups})});
    const auto layer = std::lower_bound(layers_.begin(), layers_.end(), specs_[i].layer);
    StateSums& sums = states_[row + static_cast<size_t>(layer - layers_.begin())];
    sums.count += static_cast<double>(batch * elements);
    for (double value : sum) sums.sum += value;
    for (double value : squares) sums.squares += value;
  }
}

void PositionSums::reduce(core::Context& context, dist::Communicator& world) {
  const size_t label_bytes = labels_.size() * sizeof(LabelSums);
  const size_t state_bytes = states_.size() * sizeof(StateSums);
  std::vector<double> flat((label_bytes + state_bytes) / sizeof(double));
  auto* bytes = reinterpret_cast<char*>(flat.data());
  std::memcpy(bytes, labels_.data(), label_bytes);
  if (state_bytes > 0) std::memcpy(bytes + label_bytes, states_.data(), state_bytes);

  const core::TensorView host(flat.data(), core::DType::kF64, {static_cast<int64_t>(flat.size())});
  const core::Tensor sums = core::Tensor::copy_of(context, host);
  world.all_reduce_sum(sums);
  core::copy(context, sums, host);

  std::memcpy(labels_.data(), bytes, label_bytes);
  if (state_bytes > 0) std::memcpy(states_.data(), bytes + label_bytes, state_bytes);
}

Bucket PositionSums::finish_bucket(size_t index, LabelSums& total) const {
  Bucket bucket = buckets_[index];
  LabelSums all;
  std::vector<double> losses, accuracies;  // means of the sequences that have labels here
  for (size_t s = 0; s < static_cast<size_t>(sequences_); ++s) {
    const LabelSums& sums = labels_[s * buckets_.size() + index];
    if (sums.count == 0) continue;
    all.count += sums.count;
    all.loss += sums.loss;
    all.correct += sums.correct;
    losses.push_back(sums.loss / sums.count);
    accuracies.push_back(sums.correct / sums.count);
  }
  bucket.count = std::llround(all.count);
  if (bucket.count == 0) return bucket;
  bucket.loss = all.loss / all.count;
  bucket.accuracy = all.correct / all.count;
  bucket.loss_error = standard_error(losses);
  bucket.accuracy_error = standard_error(accuracies);
  total.count += all.count;
  total.loss += all.loss;
  total.correct += all.correct;
  return bucket;
}

StatePoint PositionSums::finish_point(size_t index) const {
  StatePoint point{.position = buckets_[index].end};
  // NaN must come through: std::max(0, NaN) would hide a state that is lost.
  const auto deviation = [](const StateSums& s) {
    const double mean = s.sum / s.count, variance = s.squares / s.count - mean * mean;
    return variance < 0 ? 0 : std::sqrt(variance);
  };
  StateSums all;
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const StateSums& sums = states_[index * layers_.size() + layer];
    all.count += sums.count;
    all.sum += sums.sum;
    all.squares += sums.squares;
    point.layer_deviation.push_back(deviation(sums));
  }
  point.mean = all.sum / all.count;
  point.deviation = deviation(all);
  const auto states = static_cast<double>(sequences_) * static_cast<double>(layers_.size());
  point.norm = std::sqrt(all.squares / states);
  return point;
}

void PositionSums::finish(bool states, PositionCurve& curve) const {
  LabelSums total;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    curve.buckets.push_back(finish_bucket(i, total));
    if (states && !layers_.empty()) curve.states.push_back(finish_point(i));
  }
  if (total.count == 0) return;
  curve.loss = total.loss / total.count;
  curve.perplexity = std::exp(curve.loss);
  curve.accuracy = total.correct / total.count;
}

}  // namespace longhaul::eval
