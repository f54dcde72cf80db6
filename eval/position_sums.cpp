#include "eval/position_sums.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "eval/state_sums.h"
#include "kernels/core/context.h"

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

PositionSums::PositionSums(int64_t length, const std::vector<model::StateSpec>& specs, bool states,
                           int64_t most_reach)
    : specs_(specs),
      buckets_(log_buckets(length)),
      reaches_(log_buckets(most_reach > 0 ? most_reach + 1 : 0)) {
  if (!states) return;
  for (const model::StateSpec& spec : specs_) {
    if (spec.kind == model::StateKind::kRecurrent) layers_.push_back(spec.layer);
  }
  std::sort(layers_.begin(), layers_.end());
  layers_.erase(std::unique(layers_.begin(), layers_.end()), layers_.end());
  elements_.resize(layers_.size());
  for (const model::StateSpec& spec : specs_) {
    if (spec.kind != model::StateKind::kRecurrent) continue;
    const auto layer = std::lower_bound(layers_.begin(), layers_.end(), spec.layer);
    elements_[static_cast<size_t>(layer - layers_.begin())] +=
        static_cast<double>(spec.shape.elements());
  }
}

size_t PositionSums::place_of_states(size_t point, size_t layer) const {
  return 3 * (buckets_.size() + reaches_.size()) + 2 * (point * layers_.size() + layer);
}

int64_t PositionSums::width() const {
  return static_cast<int64_t>(place_of_states(buckets_.size(), 0));
}

size_t PositionSums::sequences_in(std::span<const double> numbers) const {
  return numbers.size() / static_cast<size_t>(width());
}

void PositionSums::add(const LabelRun& run, std::span<double> sequence) const {
  CHECK(run.labels.size() == run.losses.size() && run.labels.size() == run.predicted.size());
  int64_t position = run.position;
  // The bucket of the first position: the first one that ends after it.
  auto bucket = std::upper_bound(buckets_.begin(), buckets_.end(), position,
                                 [](int64_t p, const Bucket& b) { return p < b.end; });
  for (size_t i = 0; i < run.labels.size(); ++i, ++position) {
    while (position >= bucket->end) ++bucket;
    if (run.labels[i] < 0) continue;
    add_label(run, i, &sequence[place_of_labels(static_cast<size_t>(bucket - buckets_.begin()))]);
    if (run.reaches.empty() || run.reaches[i] < 0 || reaches_.empty()) continue;
    const auto reach = std::upper_bound(reaches_.begin(), reaches_.end(), run.reaches[i],
                                        [](int64_t r, const Bucket& b) { return r < b.end; });
    CHECK(reach != reaches_.end()) << run.reaches[i];
    add_label(run, i, &sequence[place_of_reach(static_cast<size_t>(reach - reaches_.begin()))]);
  }
}

void PositionSums::add_label(const LabelRun& run, size_t label, double* sums) const {
  sums[0] += 1;
  sums[1] += run.losses[label];
  sums[2] += run.predicted[label] == run.labels[label];
}

int64_t PositionSums::next_state_position(int64_t position) const {
  for (const Bucket& bucket : buckets_) {
    if (bucket.end > position) return bucket.end;
  }
  return position;
}

void PositionSums::add_states(core::Context& context, int64_t position,
                              const model::RecurrentState& state, std::span<double> numbers) const {
  const auto bucket = std::find_if(buckets_.begin(), buckets_.end(),
                                   [&](const Bucket& b) { return b.end == position; });
  if (bucket == buckets_.end() || layers_.empty()) return;
  CHECK_EQ(state.size(), specs_.size());
  const auto point = static_cast<size_t>(bucket - buckets_.begin());
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (specs_[i].kind != model::StateKind::kRecurrent) continue;
    const auto layer = std::lower_bound(layers_.begin(), layers_.end(), specs_[i].layer);
    const size_t place = place_of_states(point, static_cast<size_t>(layer - layers_.begin()));
    const std::vector<HeadMoments> moments = head_moments(context, state[i], specs_[i].heads);
    const auto heads = static_cast<size_t>(specs_[i].heads);
    for (size_t at = 0; at < moments.size(); ++at) {
      double* sums = &numbers[at / heads * static_cast<size_t>(width()) + place];
      sums[0] += moments[at].sum;
      sums[1] += moments[at].squares;
    }
  }
}

Bucket PositionSums::finish_bucket(std::span<const double> numbers, Bucket bucket, size_t place,
                                   Total& total) const {
  Total all;
  SequenceMeans means;
  for (size_t s = 0; s < sequences_in(numbers); ++s) {
    const double* sums = &numbers[s * static_cast<size_t>(width()) + place];
    all.count += sums[0];
    all.loss += sums[1];
    all.correct += sums[2];
    const double labels = std::max(sums[0], 1.0);
    means.labels.push_back(sums[0]);
    means.loss.push_back(sums[1] / labels);
    means.accuracy.push_back(sums[2] / labels);
  }
  bucket.count = std::llround(all.count);
  if (bucket.count == 0) return bucket;
  bucket.loss = all.loss / all.count;
  bucket.accuracy = all.correct / all.count;
  bucket.loss_error = clustered_error(deviations(means.labels, means.loss));
  bucket.accuracy_error = clustered_error(deviations(means.labels, means.accuracy));
  bucket.by_sequence = std::move(means);
  total.count += all.count;
  total.loss += all.loss;
  total.correct += all.correct;
  return bucket;
}

StatePoint PositionSums::finish_point(std::span<const double> numbers, size_t index) const {
  StatePoint point{.position = buckets_[index].end};
  const size_t sequences = sequences_in(numbers);
  std::vector<StateMoments> by_sequence(sequences);
  StateMoments all;
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    StateMoments of_layer;
    for (size_t s = 0; s < sequences; ++s) {
      const double* sums =
          &numbers[s * static_cast<size_t>(width()) + place_of_states(index, layer)];
      const StateMoments one{.count = elements_[layer], .sum = sums[0], .squares = sums[1]};
      of_layer.add(one);
      by_sequence[s].add(one);
    }
    all.add(of_layer);
    point.layer_deviation.push_back(of_layer.deviation());
  }
  point.mean = all.mean();
  point.deviation = all.deviation();
  point.norm = std::sqrt(all.squares / static_cast<double>(sequences * layers_.size()));
  std::vector<double> deviations;
  for (const StateMoments& one : by_sequence) deviations.push_back(one.deviation());
  point.deviation_error = standard_error(deviations);
  return point;
}

void PositionSums::finish(std::span<const double> numbers, PositionCurve& curve) const {
  Total total;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    curve.buckets.push_back(finish_bucket(numbers, buckets_[i], place_of_labels(i), total));
    if (!layers_.empty()) curve.states.push_back(finish_point(numbers, i));
  }
  Total of_queries;
  for (size_t i = 0; i < reaches_.size(); ++i) {
    const Bucket bucket = finish_bucket(numbers, reaches_[i], place_of_reach(i), of_queries);
    if (bucket.count > 0) curve.reaches.push_back(bucket);
  }
  curve.loss = total.loss / total.count;  // NaN where no label is among them
  curve.perplexity = std::exp(curve.loss);
  curve.accuracy = total.correct / total.count;
}

}  // namespace longhaul::eval
