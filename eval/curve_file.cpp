#include <cmath>

#include "eval/curve.pb.h"
#include "eval/formatted.h"
#include "eval/perplexity.h"
#include "eval/stored_json.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr int kFormatVersion = 1;

void store(const Bucket& bucket, proto::Bucket& to) {
  to.set_begin(bucket.begin);
  to.set_end(bucket.end);
  to.set_count(bucket.count);
  to.set_loss(bucket.loss);
  to.set_loss_error(bucket.loss_error);
  to.set_accuracy(bucket.accuracy);
  to.set_accuracy_error(bucket.accuracy_error);
}

Bucket bucket_of(const proto::Bucket& from) {
  return {.begin = from.begin(),
          .end = from.end(),
          .count = from.count(),
          .loss = from.loss(),
          .loss_error = from.loss_error(),
          .accuracy = from.accuracy(),
          .accuracy_error = from.accuracy_error()};
}

proto::Curve to_stored(const PositionCurve& curve) {
  proto::Curve out;
  out.set_format_version(kFormatVersion);
  out.set_task(curve.task);
  out.set_model(curve.model);
  out.set_length(curve.length);
  out.set_sequences(curve.sequences);
  out.set_training_length(curve.training_length);
  out.set_whole_documents(curve.whole_documents);
  out.set_inside_documents(curve.inside_documents);
  out.set_windows(curve.windows);
  out.set_sequences_asked(curve.sequences_asked);
  store_identity(curve.measured, *out.mutable_measured());
  out.set_loss(curve.loss);
  out.set_perplexity(curve.perplexity);
  out.set_accuracy(curve.accuracy);
  for (const Bucket& bucket : curve.buckets) store(bucket, *out.add_buckets());
  for (const Bucket& bucket : curve.reaches) store(bucket, *out.add_reaches());
  for (const StatePoint& point : curve.states) {
    proto::StatePoint& to = *out.add_states();
    to.set_position(point.position);
    to.set_mean(point.mean);
    to.set_deviation(point.deviation);
    to.set_norm(point.norm);
    to.set_deviation_error(point.deviation_error);
    to.mutable_layer_deviation()->Add(point.layer_deviation.begin(), point.layer_deviation.end());
  }
  return out;
}

PositionCurve from_stored(const proto::Curve& from) {
  PositionCurve curve{.task = from.task(),
                      .model = from.model(),
                      .length = from.length(),
                      .sequences = from.sequences(),
                      .training_length = from.training_length(),
                      .whole_documents = from.whole_documents(),
                      .inside_documents = from.inside_documents(),
                      .windows = from.windows(),
                      .sequences_asked = from.sequences_asked(),
                      .measured = identity_of(from.measured()),
                      .loss = from.loss(),
                      .perplexity = from.perplexity(),
                      .accuracy = from.accuracy(),
                      .buckets = {},
                      .states = {},
                      .reaches = {}};
  for (const proto::Bucket& bucket : from.buckets()) curve.buckets.push_back(bucket_of(bucket));
  for (const proto::Bucket& bucket : from.reaches()) curve.reaches.push_back(bucket_of(bucket));
  for (const proto::StatePoint& point : from.states()) {
    curve.states.push_back(
        {.position = point.position(),
         .mean = point.mean(),
         .deviation = point.deviation(),
         .norm = point.norm(),
         .layer_deviation = {point.layer_deviation().begin(), point.layer_deviation().end()},
         .deviation_error = point.deviation_error()});
  }
  return curve;
}

/// What is wrong with a curve that parsed, or "".
std::string flaw(const proto::Curve& curve) {
  if (curve.task() != "text" && curve.task() != "recall") {
    return "task is '" + curve.task() + "', expected 'text' or 'recall'";
  }
  if (curve.buckets().empty()) return "has no buckets";
  int64_t position = 0;
  for (const proto::Bucket& bucket : curve.buckets()) {
    if (bucket.begin() != position || bucket.end() <= position || bucket.count() < 0) {
      return core::message("bucket [", bucket.begin(), ", ", bucket.end(), ") with ",
                           bucket.count(), " labels does not continue at position ", position);
    }
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

std::string format_table(const PositionCurve& curve) {
  std::string out = formatted(
      "%s, %lld sequences of %lld tokens: loss %.4f, perplexity %.4g, "
      "accuracy %.2f%%\n",
      curve.task.c_str(), static_cast<long long>(curve.sequences),
      static_cast<long long>(curve.length), curve.loss, curve.perplexity, 100 * curve.accuracy);
  out += shortage_line(curve.sequences, curve.sequences_asked);
  if (curve.task == "text") {
    out += formatted(curve.inside_documents
                         ? "%lld documents are that long: each sequence lies inside one\n"
                         : "%lld documents are that long: sequences cross document borders\n",
                     static_cast<long long>(curve.whole_documents));
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
               : formatted("%8.4f %8.4f %11.5g %8.2f%%", bucket.loss, bucket.loss_error,
                           std::exp(bucket.loss), 100 * bucket.accuracy);
    if (i < curve.states.size()) out += formatted(" %11.4g", curve.states[i].deviation);
    out += "\n";
  }
  if (!curve.reaches.empty())
    out += "  pairs since the key    queries     loss  std.err           accuracy\n";
  for (const Bucket& bucket : curve.reaches) {
    out += formatted("%9lld to %8lld %10lld %8.4f %8.4f %20.2f%%\n",
                     static_cast<long long>(bucket.begin), static_cast<long long>(bucket.end - 1),
                     static_cast<long long>(bucket.count), bucket.loss, bucket.loss_error,
                     100 * bucket.accuracy);
  }
  return out;
}

}  // namespace longhaul::eval
