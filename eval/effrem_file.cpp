#include "eval/effrem.h"

#include <cmath>

#include "eval/effrem.pb.h"
#include "eval/formatted.h"
#include "eval/sequence_means.h"
#include "eval/stored_json.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr int kFormatVersion = 1;
constexpr const char* kTask = "effrem";

/// What is wrong with a file that parsed, or "".
std::string flaw(const proto::EffRem& effrem) {
  if (effrem.task() != kTask) {
    return "task is '" + effrem.task() + "', expected '" + kTask + "'";
  }
  if (effrem.points().empty()) return "has no points";
  int64_t before = 0;
  for (const proto::EffRemPoint& point : effrem.points()) {
    if (point.dropped() <= before || point.dropped() >= effrem.length()) {
      return core::message("point at ", point.dropped(), " dropped tokens does not follow ", before,
                           " within the length ", effrem.length());
    }
    const int distances = point.sequence_distance_size();
    if (distances > 0 && distances != effrem.sequences()) {
      return core::message("point at ", point.dropped(), " dropped tokens holds ", distances,
                           " distances of sequences, expected ", effrem.sequences());
    }
    before = point.dropped();
  }
  return "";
}

}  // namespace

void write_effrem(const std::filesystem::path& file, const EffRem& effrem) {
  proto::EffRem out;
  out.set_format_version(kFormatVersion);
  out.set_task(kTask);
  out.set_read(effrem.read);
  store_conditions(effrem, out);
  const bool all = effrem.sequences * std::ssize(effrem.points) <= kMostSequenceMeans;
  for (const EffRemPoint& point : effrem.points) {
    proto::EffRemPoint& to = *out.add_points();
    to.set_dropped(point.dropped);
    to.set_distance(point.distance);
    if (!std::isnan(point.error)) to.set_error(point.error);
    if (!all) continue;
    to.mutable_sequence_distance()->Add(point.by_sequence.begin(), point.by_sequence.end());
  }
  write_json(file, out);
}

EffRem read_effrem(const std::filesystem::path& file) {
  const auto from = read_evaluation<proto::EffRem>(file, kFormatVersion, flaw);
  EffRem effrem;
  effrem.read = from.read();
  take_conditions(from, effrem);
  for (const proto::EffRemPoint& point : from.points()) {
    effrem.points.push_back(
        {.dropped = point.dropped(),
         .distance = point.distance(),
         .error = error_of(point.has_error(), point.error(), from.sequences()),
         .by_sequence = {point.sequence_distance().begin(), point.sequence_distance().end()}});
  }
  return effrem;
}

std::string format_table(const EffRem& effrem) {
  std::string out =
      formatted("effective remembrance, %lld sequences of %lld tokens (",
                static_cast<long long>(effrem.sequences), static_cast<long long>(effrem.length)) +
      effrem.read + ")\n" + shortage_line(effrem.sequences, effrem.sequences_asked);
  out += "   dropped      kept   distance  std.err\n";
  for (const EffRemPoint& point : effrem.points) {
    out += formatted("%10lld %9lld %10.4f ", static_cast<long long>(point.dropped),
                     static_cast<long long>(effrem.length - point.dropped), point.distance) +
           or_dash("%8.4f", point.error) + "\n";
  }
  return out;
}

}  // namespace longhaul::eval
