#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/curve.pb.h"
#include "eval/formatted.h"
#include "eval/perplexity.h"
#include "eval/stored_json.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr int kFormatVersion = 1;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void store_means(const SequenceMeans& means, proto::Bucket& to) {
  for (const double loss : means.loss) to.add_sequence_loss(static_cast<float>(loss));
  for (const double share : means.accuracy) to.add_sequence_accuracy(static_cast<float>(share));
  const bool alike = std::all_of(means.labels.begin(), means.labels.end(),
                                 [&](double labels) { return labels == means.labels.front(); });
  if (alike) return;
  to.mutable_sequence_labels()->Add(means.labels.begin(), means.labels.end());
}

SequenceMeans means_of(const proto::Bucket& from) {
  SequenceMeans means{
      .labels = {from.sequence_labels().begin(), from.sequence_labels().end()},
      .loss = {from.sequence_loss().begin(), from.sequence_loss().end()},
      .accuracy = {from.sequence_accuracy().begin(), from.sequence_accuracy().end()}};
  const size_t sequences = means.loss.size();
  if (means.labels.empty() && sequences > 0) {
    means.labels.assign(sequences,
                        static_cast<double>(from.count()) / static_cast<double>(sequences));
  }
  return means;
}

void store(const Bucket& bucket, bool means, proto::Bucket& to) {
  to.set_begin(bucket.begin);
  to.set_end(bucket.end);
  to.set_count(bucket.count);
  if (bucket.count == 0) return;
  to.set_loss(bucket.loss);
  to.set_accuracy(bucket.accuracy);
  if (!std::isnan(bucket.loss_error)) to.set_loss_error(bucket.loss_error);
  if (!std::isnan(bucket.accuracy_error)) to.set_accuracy_error(bucket.accuracy_error);
  if (means) store_means(bucket.by_sequence, to);
}

Bucket bucket_of(const proto::Bucket& from, int64_t sequences) {
  Bucket bucket{.begin = from.begin(), .end = from.end(), .count = from.count()};
  if (bucket.count == 0) return bucket;
  bucket.loss = from.loss();
  bucket.loss_error = error_of(from.has_loss_error(), from.loss_error(), sequences);
  bucket.accuracy = from.accuracy();
  bucket.accuracy_error = error_of(from.has_accuracy_error(), from.accuracy_error(), sequences);
  bucket.by_sequence = means_of(from);
  return bucket;
}

bool has_labels(const std::vector<Bucket>& buckets) {
  return std::any_of(buckets.begin(), buckets.end(),
                     [](const Bucket& bucket) { return bucket.count > 0; });
}

proto::Curve to_stored(const PositionCurve& curve) {
  proto::Curve out;
  out.set_format_version(kFormatVersion);
  out.set_task(curve.task);
  store_conditions(curve, out);
  out.set_window(curve.window);
  if (has_labels(curve.buckets)) {
    out.set_loss(curve.loss);
    out.set_perplexity(curve.perplexity);
    out.set_accuracy(curve.accuracy);
  }
  const int64_t buckets = std::ssize(curve.buckets) + std::ssize(curve.reaches);
  const bool means = curve.sequences * buckets <= kMostSequenceMeans;
  for (const Bucket& bucket : curve.buckets) store(bucket, means, *out.add_buckets());
  for (const Bucket& bucket : curve.reaches) store(bucket, means, *out.add_reaches());
  for (const StatePoint& point : curve.states) {
    proto::StatePoint& to = *out.add_states();
    to.set_position(point.position);
    to.set_mean(point.mean);
    to.set_deviation(point.deviation);
    to.set_norm(point.norm);
    if (!std::isnan(point.deviation_error)) to.set_deviation_error(point.deviation_error);
    to.mutable_layer_deviation()->Add(point.layer_deviation.begin(), point.layer_deviation.end());
  }
  return out;
}

PositionCurve from_stored(const proto::Curve& from) {
  PositionCurve curve;
  curve.task = from.task();
  take_conditions(from, curve);
  curve.window = from.window();
  for (const proto::Bucket& bucket : from.buckets())
    curve.buckets.push_back(bucket_of(bucket, from.sequences()));
  const bool labels = has_labels(curve.buckets);
  curve.loss = labels ? from.loss() : kNaN;
  curve.perplexity = labels ? from.perplexity() : kNaN;
  curve.accuracy = labels ? from.accuracy() : kNaN;
  for (const proto::Bucket& bucket : from.reaches())
    curve.reaches.push_back(bucket_of(bucket, from.sequences()));
  for (const proto::StatePoint& point : from.states()) {
    curve.states.push_back(
        {.position = point.position(),
         .mean = point.mean(),
         .deviation = point.deviation(),
         .norm = point.norm(),
         .layer_deviation = {point.layer_deviation().begin(), point.layer_deviation().end()},
         .deviation_error =
             error_of(point.has_deviation_error(), point.deviation_error(), from.sequences())});
  }
  return curve;
}

bool has_whole_means(const proto::Bucket& bucket, int64_t sequences) {
  const auto is_whole = [&](int size) { return size == 0 || size == sequences; };
  const int losses = bucket.sequence_loss_size(), labels = bucket.sequence_labels_size();
  return is_whole(losses) && bucket.sequence_accuracy_size() == losses && is_whole(labels) &&
         labels <= losses &&
         std::none_of(bucket.sequence_labels().begin(), bucket.sequence_labels().end(),
                      [](double count) { return !(count >= 0); });
}

/// What is wrong with a curve that parsed, or "".
std::string flaw(const proto::Curve& curve) {
  if (curve.task() != "text" && curve.task() != "recall") {
    return "task is '" + curve.task() + "', expected 'text' or 'recall'";
  }
  if (curve.window() < 0) return core::message("window is ", curve.window());
  if (curve.buckets().empty()) return "has no buckets";
  int64_t position = 0;
  const auto lacks_means = [&](const proto::Bucket& bucket) {
    return has_whole_means(bucket, curve.sequences())
               ? ""
               : core::message("bucket [", bucket.begin(), ", ", bucket.end(),
                               ") does not hold the means of ", curve.sequences(), " sequences");
  };
  for (const proto::Bucket& bucket : curve.reaches()) {
    if (const std::string what = lacks_means(bucket); !what.empty()) return what;
  }
  for (const proto::Bucket& bucket : curve.buckets()) {
    if (bucket.begin() != position || bucket.end() <= position || bucket.count() < 0) {
      return core::message("bucket [", bucket.begin(), ", ", bucket.end(), ") with ",
                           bucket.count(), " labels does not continue at position ", position);
    }
    if (const std::string what = lacks_means(bucket); !what.empty()) return what;
    position = bucket.end();
  }
  if (position != curve.length()) {
    return core::message("buckets end at ", position, ", length is ", curve.length());
  }
  return "";
}

}  // namespace

void write_curve(const std::filesystem::path& file, const PositionCurve& curve) {
  write_json(file, to_stored(curve));
}

PositionCurve read_curve(const std::filesystem::path& file) {
  return from_stored(read_evaluation<proto::Curve>(file, kFormatVersion, flaw));
}

namespace {

/// All over, in a line.
std::string summary(const PositionCurve& curve) {
  std::string out =
      formatted("%s, %lld sequences of %lld tokens: ", curve.task.c_str(),
                static_cast<long long>(curve.sequences), static_cast<long long>(curve.length));
  if (curve.window > 0) {
    out.insert(out.size() - 2, core::message(" in windows of ", curve.window));
  }
  if (!has_labels(curve.buckets)) return out + "no label is among them\n";
  return out + formatted("loss %.4f, perplexity %.4g, accuracy %.2f%%\n", curve.loss,
                         curve.perplexity, 100 * curve.accuracy);
}

}  // namespace

std::string format_table(const PositionCurve& curve) {
  std::string out = summary(curve) + shortage_line(curve.sequences, curve.sequences_asked);
  if (curve.task == "text") {
    const bool one = curve.whole_documents == 1;
    out += core::message(curve.whole_documents, one ? " document is" : " documents are",
                         " that long: ") +
           (curve.inside_documents ? "each sequence lies inside one\n"
                                   : "sequences cross document borders\n");
  }
  out += "           positions     labels     loss  std.err  perplexity  accuracy  state dev.\n";
  bool beyond = false;
  for (size_t i = 0; i < curve.buckets.size(); ++i) {
    const Bucket& bucket = curve.buckets[i];
    if (!beyond && curve.training_length > 0 && bucket.end > curve.training_length) {
      beyond = true;
      out += formatted("  -- past the training length, %lld --\n",
                       static_cast<long long>(curve.training_length));
    }
    out += formatted("%9lld to %8lld %10lld ", static_cast<long long>(bucket.begin),
                     static_cast<long long>(bucket.end - 1), static_cast<long long>(bucket.count));
    out += bucket.count == 0
               ? formatted("%8s %8s %11s %9s", "-", "-", "-", "-")
               : formatted("%8.4f ", bucket.loss) + or_dash("%8.4f", bucket.loss_error) +
                     formatted(" %11.5g %8.2f%%", std::exp(bucket.loss), 100 * bucket.accuracy);
    if (i < curve.states.size()) out += formatted(" %11.4g", curve.states[i].deviation);
    out += "\n";
  }
  if (!curve.reaches.empty())
    out += "  pairs since the key    queries     loss  std.err           accuracy\n";
  for (const Bucket& bucket : curve.reaches) {
    out += formatted("%9lld to %8lld %10lld %8.4f ", static_cast<long long>(bucket.begin),
                     static_cast<long long>(bucket.end - 1), static_cast<long long>(bucket.count),
                     bucket.loss) +
           or_dash("%8.4f", bucket.loss_error) + formatted(" %20.2f%%\n", 100 * bucket.accuracy);
  }
  return out;
}

}  // namespace longhaul::eval
