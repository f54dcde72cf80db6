#include "eval/seeds.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

struct Spread {
  double mean = 0;
  double deviation = 0;  ///< sample standard deviation; 0 for one value
};

Spread spread(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  Spread result;
  for (const double value : values) result.mean += value / n;
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) squares += std::pow(value - result.mean, 2);
  result.deviation = std::sqrt(squares / (n - 1));
  return result;
}

/// Of `number` over all seeds' results.
template <class T, class Number>
Spread spread(const std::vector<const T*>& seeds, const Number& number) {
  std::vector<double> values;
  for (const T* seed : seeds) values.push_back(number(*seed));
  return spread(values);
}

/// InputError unless `key` is the same in all results.
template <class T, class Key>
void require_alike(const std::vector<const T*>& seeds, const std::string& what, const Key& key) {
  for (const T* seed : seeds) {
    if (key(*seed) == key(*seeds.front())) continue;
    throw core::InputError(what + ": the seeds were not measured alike, expected the same lengths");
  }
}

template <class T>
void require_same_lengths(const std::vector<const T*>& seeds, const std::string& what) {
  require_alike(seeds, what, [](const T& one) {
    return std::vector<int64_t>{one.length, one.training_length};
  });
}

/// Bucket by bucket, over the seeds that have labels there.
std::vector<Bucket> mean_buckets(const std::vector<const PositionCurve*>& seeds,
                                 std::vector<Bucket> PositionCurve::*list) {
  std::map<std::pair<int64_t, int64_t>, std::vector<const Bucket*>> places;
  for (const PositionCurve* seed : seeds) {
    for (const Bucket& bucket : seed->*list) places[{bucket.begin, bucket.end}].push_back(&bucket);
  }
  std::vector<Bucket> result;
  for (auto& [edges, same] : places) {
    std::erase_if(same, [](const Bucket* bucket) { return bucket->count == 0; });
    Bucket mean{.begin = edges.first, .end = edges.second};
    const Spread loss = spread(same, [](const Bucket& one) { return one.loss; });
    const Spread accuracy = spread(same, [](const Bucket& one) { return one.accuracy; });
    mean.loss = loss.mean;
    mean.loss_error = loss.deviation;
    mean.accuracy = accuracy.mean;
    mean.accuracy_error = accuracy.deviation;
    for (const Bucket* one : same) mean.count += one->count;
    result.push_back(mean);
  }
  return result;
}

std::vector<int64_t> edges_of(const PositionCurve& curve) {
  std::vector<int64_t> edges;
  for (const Bucket& bucket : curve.buckets) {
    edges.insert(edges.end(), {bucket.begin, bucket.end});
  }
  return edges;
}

PositionCurve mean_of(const std::vector<const PositionCurve*>& seeds, const std::string& what) {
  require_same_lengths(seeds, what);
  require_alike(seeds, what, [](const PositionCurve& one) { return one.window; });
  PositionCurve result = *seeds.front();
  const auto over_seeds = [&](const auto& number) { return spread(seeds, number); };
  result.loss = over_seeds([](const PositionCurve& one) { return one.loss; }).mean;
  result.perplexity = std::exp(result.loss);
  result.accuracy = over_seeds([](const PositionCurve& one) { return one.accuracy; }).mean;
  require_alike(seeds, what, edges_of);
  result.buckets = mean_buckets(seeds, &PositionCurve::buckets);
  result.reaches = mean_buckets(seeds, &PositionCurve::reaches);  // those that some seed drew
  require_alike(seeds, what, [](const PositionCurve& one) { return one.states.size(); });
  for (size_t i = 0; i < result.states.size(); ++i) {
    StatePoint& point = result.states[i];
    const auto number = [&](double StatePoint::*field) {
      return over_seeds([&](const PositionCurve& one) { return one.states[i].*field; });
    };
    const Spread deviation = number(&StatePoint::deviation);
    point.mean = number(&StatePoint::mean).mean;
    point.norm = number(&StatePoint::norm).mean;
    point.deviation = deviation.mean;
    point.deviation_error = deviation.deviation;
    point.layer_deviation.clear();
  }
  return result;
}

EffRem mean_of(const std::vector<const EffRem*>& seeds, const std::string& what) {
  require_same_lengths(seeds, what);
  EffRem result = *seeds.front();
  result.points.clear();
  std::map<int64_t, std::vector<double>> distances;  // by tokens dropped
  for (const EffRem* seed : seeds) {
    for (const EffRemPoint& point : seed->points)
      distances[point.dropped].push_back(point.distance);
  }
  for (const auto& [dropped, own] : distances) {
    if (own.size() < seeds.size()) continue;  // older files lack some
    const Spread distance = spread(own);
    result.points.push_back(
        {.dropped = dropped, .distance = distance.mean, .error = distance.deviation});
  }
  if (result.points.empty()) {
    throw core::InputError(what + ": no number of tokens left out is measured in all seeds");
  }
  return result;
}

/// `moments` finds them in one seed's statistics.
template <class Find>
MomentsByPosition mean_moments(const std::vector<const StateStatistics*>& seeds,
                               const Find& moments,
                               std::vector<double>* deviation_error = nullptr) {
  MomentsByPosition result = moments(*seeds.front());
  for (auto list :
       {&MomentsByPosition::mean, &MomentsByPosition::deviation, &MomentsByPosition::norm}) {
    for (size_t i = 0; i < (result.*list).size(); ++i) {
      const Spread over_seeds =
          spread(seeds, [&](const StateStatistics& one) { return (moments(one).*list).at(i); });
      (result.*list)[i] = over_seeds.mean;
      if (list == &MomentsByPosition::deviation && deviation_error != nullptr) {
        deviation_error->at(i) = over_seeds.deviation;
      }
    }
  }
  return result;
}

/// Those that all have: older files lack a training length that is no power of two.
std::vector<int64_t> common_positions(const std::vector<const StateStatistics*>& seeds) {
  std::map<int64_t, size_t> counts;
  for (const StateStatistics* seed : seeds) {
    for (const int64_t position : seed->positions) ++counts[position];
  }
  std::vector<int64_t> positions;
  for (const auto& [position, count] : counts) {
    if (count == seeds.size()) positions.push_back(position);
  }
  return positions;
}

/// `states` without heads and without other positions.
StateStatistics at_positions(const StateStatistics& states, const std::vector<int64_t>& positions) {
  StateStatistics result = states;
  const auto keep = [&](std::vector<double>& values) {
    std::vector<double> kept;
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::binary_search(positions.begin(), positions.end(), states.positions.at(i))) {
        kept.push_back(values[i]);
      }
    }
    values = kept;
  };
  const auto keep_moments = [&](MomentsByPosition& moments) {
    for (auto* list : {&moments.mean, &moments.deviation, &moments.norm}) keep(*list);
  };
  keep(result.deviation_error);
  keep_moments(result.pooled);
  for (LayerStates& layer : result.layers) keep_moments(layer.moments);
  result.heads.clear();  // head k of a seed is nothing to head k of another
  result.positions = positions;
  return result;
}

StateStatistics mean_of(const std::vector<const StateStatistics*>& whole, const std::string& what) {
  require_same_lengths(whole, what);
  require_alike(whole, what, [](const StateStatistics& one) {
    return std::vector<size_t>{one.layers.size(), one.heads.size()};
  });
  std::vector<StateStatistics> reduced;
  for (const StateStatistics* seed : whole) {
    reduced.push_back(at_positions(*seed, common_positions(whole)));
  }
  std::vector<const StateStatistics*> seeds;
  for (const StateStatistics& seed : reduced) seeds.push_back(&seed);
  StateStatistics result = reduced.front();
  result.pooled = mean_moments(
      seeds, [](const StateStatistics& one) -> const auto& { return one.pooled; },
      &result.deviation_error);
  for (size_t i = 0; i < result.layers.size(); ++i) {
    result.layers[i].moments = mean_moments(
        seeds, [&](const StateStatistics& one) -> const auto& { return one.layers[i].moments; });
  }
  return result;
}

TaskResult mean_of(const std::vector<const TaskResult*>& seeds, const std::string& what) {
  require_alike(seeds, what, [](const TaskResult& one) {
    std::set<int64_t> lengths;
    for (const TaskCell& cell : one.cells) lengths.insert(cell.length);
    return std::make_pair(one.training_length, lengths);
  });
  // By what a cell is, all depths first: depths that a task draws may leave one empty in some seed.
  using Key = std::tuple<std::string, int64_t, bool, double, double>;
  std::map<Key, std::vector<TaskCell>> cells;
  for (const TaskResult* seed : seeds) {
    for (const TaskCell& cell : seed->cells) {
      cells[{cell.part, cell.length, !cell.all_depths(), cell.depth_low, cell.depth_high}]
          .push_back(cell);
    }
  }
  TaskResult result = *seeds.front();
  result.cells.clear();
  for (const auto& [key, same] : cells) result.cells.push_back(mean_cell(same));
  return result;
}

/// One seed alone is left as it is, with its own errors.
template <class T>
T mean_of_named(const std::vector<Named<const T*>>& seeds, const std::string& what) {
  if (seeds.size() == 1) return *seeds.front().value;
  std::vector<const T*> values;
  for (const Named<const T*>& seed : seeds) values.push_back(seed.value);
  T result = mean_of(values, what);
  for (const Named<const T*>& seed : seeds) result.of_seeds.push_back({seed.name, *seed.value});
  return result;
}

/// Results of the same name over all seeds; what some lack is noted in `missing`.
template <class T>
std::vector<Named<T>> mean_results(const std::vector<RunFolder>& seeds,
                                   std::vector<Named<T>> RunFolder::*kind, RunFolder& mean) {
  std::map<std::string, std::vector<Named<const T*>>> by_name;
  for (const RunFolder& seed : seeds) {
    for (const Named<T>& result : seed.*kind) {
      by_name[result.name].push_back({seed.name, &result.value});
    }
  }
  std::vector<Named<T>> results;
  for (const auto& [name, all] : by_name) {
    if (all.size() < seeds.size()) {
      mean.missing.push_back(
          core::message(name, " is there for ", all.size(), " of ", seeds.size(), " seeds only"));
    }
    results.push_back({.name = name, .value = mean_of_named(all, mean.name + ", " + name)});
  }
  return results;
}

std::vector<TrainingPoint> mean_training(const std::vector<RunFolder>& seeds) {
  std::map<int64_t, std::vector<const TrainingPoint*>> steps;
  for (const RunFolder& seed : seeds) {
    for (const TrainingPoint& point : seed.training) steps[point.step].push_back(&point);
  }
  std::vector<TrainingPoint> result;
  for (const auto& [step, points] : steps) {
    if (points.size() < seeds.size()) continue;
    TrainingPoint mean{.step = step, .tokens = points.front()->tokens, .values = {}};
    for (const auto& [name, value] : points.front()->values) {
      const bool in_all = std::all_of(points.begin(), points.end(),
                                      [&](const auto* one) { return one->values.contains(name); });
      if (!in_all) continue;
      mean.values[name] =
          spread(points, [&](const TrainingPoint& one) { return one.values.at(name); }).mean;
    }
    result.push_back(std::move(mean));
  }
  return result;
}

Configuration shared_configuration(const std::vector<RunFolder>& seeds) {
  Configuration shared;
  for (const auto& [key, value] : seeds.front().configuration) {
    const bool alike = std::all_of(seeds.begin(), seeds.end(), [&](const RunFolder& seed) {
      const std::string* other = find_value(seed.configuration, key);
      return other != nullptr && *other == value;
    });
    if (alike) shared.emplace_back(key, value);
  }
  return shared;
}

}  // namespace

TaskCell mean_cell(const std::vector<TaskCell>& seeds) {
  TaskCell cell = seeds.front();
  cell.trials = 0;
  cell.scores.clear();
  std::vector<double> accuracies, exact;
  for (const TaskCell& one : seeds) {
    if (one.trials == 0) continue;
    accuracies.push_back(one.accuracy);
    exact.push_back(one.exact);
    cell.trials += one.trials;
  }
  const Spread accuracy = spread(accuracies);
  cell.accuracy = accuracy.mean;
  cell.exact = spread(exact).mean;
  cell.low = std::max(0.0, accuracy.mean - accuracy.deviation);
  cell.high = std::min(1.0, accuracy.mean + accuracy.deviation);
  return cell;
}

RunFolder mean_of_seeds(const std::string& name, const std::vector<RunFolder>& seeds) {
  RunFolder mean;
  mean.name = name;
  for (const RunFolder& seed : seeds) {
    for (const std::string& what : seed.missing) mean.missing.push_back(seed.name + ": " + what);
  }
  mean.training = mean_training(seeds);
  mean.configuration = shared_configuration(seeds);
  mean.evaluations = mean_results(seeds, &RunFolder::evaluations, mean);
  mean.effrems = mean_results(seeds, &RunFolder::effrems, mean);
  mean.states = mean_results(seeds, &RunFolder::states, mean);
  mean.tasks = mean_results(seeds, &RunFolder::tasks, mean);
  return mean;
}

}  // namespace longhaul::eval
