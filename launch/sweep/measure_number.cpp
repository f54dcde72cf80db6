#include "launch/sweep/measure_number.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "eval/effrem.h"
#include "eval/perplexity.h"
#include "eval/report_tasks.h"
#include "eval/states.h"
#include "eval/tasks/task_result.h"
#include "kernels/core/error.h"
#include "launch/yaml_document.h"
#include "launch/yaml_reader.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;
using std::optional;

constexpr std::string_view kAtEnd = "_at_end";

enum class Shape : uint8_t { kCurve, kTask, kEffRem, kStates };

Shape shape_of(const MeasureConfig& measure) {
  if (measure.kind == "effrem") return Shape::kEffRem;
  if (measure.kind == "states") return Shape::kStates;
  const bool is_curve = measure.kind == "perplexity" || measure.kind == "recall";
  return is_curve ? Shape::kCurve : Shape::kTask;
}

bool is_at_end(const std::string& name) { return name.ends_with(kAtEnd); }

std::string base_of(const std::string& name) {
  return is_at_end(name) ? name.substr(0, name.size() - kAtEnd.size()) : name;
}

std::vector<std::string> names_of(Shape shape) {
  std::vector<std::string> names;
  switch (shape) {
    case Shape::kCurve:
      names = {"loss", "perplexity", "accuracy"};
      break;
    case Shape::kTask:
      names = {"accuracy", "exact"};
      break;
    case Shape::kEffRem:
      return {"distance"};
    case Shape::kStates:
      names = {"mean", "deviation", "norm"};
      break;
  }
  const size_t count = names.size();
  for (size_t i = 0; i < count; ++i) names.push_back(names[i] + std::string(kAtEnd));
  return names;
}

/// Where there are so few places that all can be named.
std::string one_of(const std::vector<int64_t>& places, int64_t at) {
  if (std::find(places.begin(), places.end(), at) != places.end()) return "";
  std::string all;
  for (const int64_t place : places) all += (all.empty() ? "" : ", ") + std::to_string(place);
  return message("found ", at, ", expected one of ", all);
}

optional<double> curve_number(const eval::PositionCurve& curve, const std::string& name,
                              bool has_end, int64_t at) {
  const auto number = [&](double loss, double perplexity, double accuracy) {
    return name == "loss" ? loss : name == "perplexity" ? perplexity : accuracy;
  };
  if (!has_end && at == 0) return number(curve.loss, curve.perplexity, curve.accuracy);
  optional<double> found;
  for (const eval::Bucket& bucket : curve.buckets) {
    if (bucket.count == 0 || (!has_end && (at <= bucket.begin || at > bucket.end))) continue;
    found = number(bucket.loss, std::exp(bucket.loss), bucket.accuracy);
  }
  return found;
}

optional<double> task_number(const eval::TaskResult& result, const std::string& name, int64_t at) {
  std::vector<int64_t> lengths;
  for (const eval::TaskCell& cell : result.cells) {
    const bool is_new = std::find(lengths.begin(), lengths.end(), cell.length) == lengths.end();
    if (is_new && (at == 0 || cell.length == at)) lengths.push_back(cell.length);
  }
  double sum = 0, trials = 0;
  for (const int64_t length : lengths) {
    const eval::TaskCell cell = eval::pooled_cell(result, length, 0, 1);
    const auto count = static_cast<double>(cell.trials);
    sum += count * (name == "exact" ? cell.exact : cell.accuracy);
    trials += count;
  }
  return trials > 0 ? optional(sum / trials) : std::nullopt;
}

optional<double> state_number(const eval::StateStatistics& states, const std::string& name,
                              int64_t at) {
  const auto found = std::find(states.positions.begin(), states.positions.end(), at);
  if (found == states.positions.end()) return std::nullopt;
  const eval::MomentsByPosition& all = states.pooled;
  const auto& numbers = name == "mean" ? all.mean : name == "norm" ? all.norm : all.deviation;
  return numbers.at(static_cast<size_t>(found - states.positions.begin()));
}

optional<double> effrem_number(const eval::EffRem& effrem, int64_t at) {
  for (const eval::EffRemPoint& point : effrem.points) {
    if (point.dropped == at) return point.distance;
  }
  return std::nullopt;
}

int64_t longest(const eval::TaskResult& result) {
  int64_t length = 0;
  for (const eval::TaskCell& cell : result.cells) length = std::max(length, cell.length);
  return length;
}

}  // namespace

std::string wrong_number_name(const MeasureConfig& measure, const MeasureNumber& number) {
  const std::vector<std::string> names = names_of(shape_of(measure));
  YamlNode given;
  given.kind = YamlNode::Kind::kScalar;
  given.text = number.name;
  size_t index = 0;
  return read_name(given, {names.begin(), names.end()}, index);
}

std::string wrong_number_place(const MeasureConfig& measure, const MeasureNumber& number) {
  const Shape shape = shape_of(measure);
  const bool has_end = is_at_end(number.name);
  if (has_end && number.at > 0) return message("is given beside ", number.name);
  if (number.at == 0) {
    if (has_end || shape == Shape::kCurve || shape == Shape::kTask) return "";
    return shape == Shape::kEffRem
               ? "is not given, expected tokens left out"
               : "is not given, expected a position, or metric.name: " + number.name +
                     std::string(kAtEnd);
  }
  if (shape == Shape::kTask) {
    const std::vector<int64_t> lengths = measure.numbers("lengths");
    return lengths.empty() ? "" : one_of(lengths, number.at);
  }
  const int64_t length = measure.numbers("length").at(0);  // eval requires it
  const std::vector<int64_t> given = measure.numbers("training-length");
  const int64_t trained = given.empty() ? 0 : given[0];
  if (shape == Shape::kEffRem) return one_of(eval::effrem_grid(length, trained), number.at);
  if (shape == Shape::kStates) return one_of(eval::state_positions(length, trained), number.at);
  return number.at <= length ? "" : message("found ", number.at, ", expected at most ", length);
}

optional<double> read_number(const fs::path& file, const MeasureConfig& measure,
                             const MeasureNumber& number) {
  const std::string name = base_of(number.name);
  const bool has_end = is_at_end(number.name);
  optional<double> value;
  switch (shape_of(measure)) {
    case Shape::kCurve:
      value = curve_number(eval::read_curve(file), name, has_end, number.at);
      break;
    case Shape::kTask: {
      const eval::TaskResult result = eval::read_task_result(file);
      value = task_number(result, name, has_end ? longest(result) : number.at);
      break;
    }
    case Shape::kEffRem:
      value = effrem_number(eval::read_effrem(file), number.at);
      break;
    case Shape::kStates: {
      const eval::StateStatistics states = eval::read_states(file);
      value = state_number(states, name, has_end ? states.length : number.at);
      break;
    }
  }
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace longhaul::launch
