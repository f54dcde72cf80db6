#include "eval/seeds.h"

#include <algorithm>
#include <charconv>
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

/// Of `number` over all seeds' results.
template <class T, class Number>
Spread spread(const std::vector<const T*>& seeds, const Number& number) {
  const auto n = static_cast<double>(seeds.size());
  Spread result;
  for (const T* seed : seeds) result.mean += number(*seed) / n;
  if (seeds.size() < 2) return result;
  double squares = 0;
  for (const T* seed : seeds) squares += std::pow(number(*seed) - result.mean, 2);
  result.deviation = std::sqrt(squares / (n - 1));
  return result;
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

std::vector<Bucket> mean_buckets(const std::vector<const PositionCurve*>& seeds,
                                 std::vector<Bucket> PositionCurve::*list,
                                 const std::string& what) {
  require_alike(seeds, what, [&](const PositionCurve& one) {
    std::vector<int64_t> edges;
    for (const Bucket& bucket : one.*list) {
      edges.insert(edges.end(), {bucket.begin, bucket.end});
    }
    return edges;
  });
  std::vector<Bucket> result = seeds.front()->*list;
  for (size_t i = 0; i < result.size(); ++i) {
    const auto over_seeds = [&](double Bucket::*number) {
      return spread(seeds, [&](const PositionCurve& one) { return (one.*list)[i].*number; });
    };
    const Spread loss = over_seeds(&Bucket::loss), accuracy = over_seeds(&Bucket::accuracy);
    result[i].loss = loss.mean;
    result[i].loss_error = loss.deviation;
    result[i].accuracy = accuracy.mean;
    result[i].accuracy_error = accuracy.deviation;
    for (const PositionCurve* other : seeds) {
      if (other != seeds.front()) result[i].count += (other->*list)[i].count;
    }
  }
  return result;
}

PositionCurve mean_of(const std::vector<const PositionCurve*>& seeds, const std::string& what) {
  require_same_lengths(seeds, what);
  PositionCurve result = *seeds.front();
  const auto over_seeds = [&](const auto& number) { return spread(seeds, number); };
  result.loss = over_seeds([](const PositionCurve& one) { return one.loss; }).mean;
  result.perplexity = std::exp(result.loss);
  result.accuracy = over_seeds([](const PositionCurve& one) { return one.accuracy; }).mean;
  result.buckets = mean_buckets(seeds, &PositionCurve::buckets, what);
  // Reaches hold what was drawn; where a seed drew other ones, none are shown.
  const bool same_reaches = std::all_of(seeds.begin(), seeds.end(), [&](const auto* one) {
    return one->reaches.size() == result.reaches.size();
  });
  result.reaches =
      same_reaches ? mean_buckets(seeds, &PositionCurve::reaches, what) : std::vector<Bucket>{};
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
  result.seeds = std::ssize(seeds);
  return result;
}

EffRem mean_of(const std::vector<const EffRem*>& seeds, const std::string& what) {
  require_same_lengths(seeds, what);
  EffRem result = *seeds.front();
  for (size_t i = 0; i < result.points.size(); ++i) {
    const Spread distance =
        spread(seeds, [&](const EffRem& one) { return one.points.at(i).distance; });
    result.points[i].distance = distance.mean;
    result.points[i].error = distance.deviation;
  }
  result.seeds = std::ssize(seeds);
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

StateStatistics mean_of(const std::vector<const StateStatistics*>& seeds, const std::string& what) {
  require_same_lengths(seeds, what);
  require_alike(seeds, what, [](const StateStatistics& one) {
    return std::vector<size_t>{one.layers.size(), one.heads.size()};
  });
  StateStatistics result = *seeds.front();
  result.pooled = mean_moments(
      seeds, [](const StateStatistics& one) -> const auto& { return one.pooled; },
      &result.deviation_error);
  for (size_t i = 0; i < result.layers.size(); ++i) {
    result.layers[i].moments = mean_moments(
        seeds, [&](const StateStatistics& one) -> const auto& { return one.layers[i].moments; });
  }
  for (size_t i = 0; i < result.heads.size(); ++i) {
    const Spread decay =
        spread(seeds, [&](const StateStatistics& one) { return one.heads[i].log_decay; });
    result.heads[i].log_decay = decay.mean;
    result.heads[i].log_decay_error = decay.deviation;
    result.heads[i].moments = mean_moments(
        seeds, [&](const StateStatistics& one) -> const auto& { return one.heads[i].moments; });
  }
  result.seeds = std::ssize(seeds);
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
  std::map<Key, std::vector<const TaskCell*>> cells;
  for (const TaskResult* seed : seeds) {
    for (const TaskCell& cell : seed->cells) {
      cells[{cell.part, cell.length, !cell.all_depths(), cell.depth_low, cell.depth_high}]
          .push_back(&cell);
    }
  }
  TaskResult result = *seeds.front();
  result.cells.clear();
  for (const auto& [key, same] : cells) {
    TaskCell cell = *same.front();
    const Spread accuracy = spread(same, [](const TaskCell& one) { return one.accuracy; });
    cell.accuracy = accuracy.mean;
    cell.exact = spread(same, [](const TaskCell& one) { return one.exact; }).mean;
    cell.low = accuracy.mean - accuracy.deviation;
    cell.high = accuracy.mean + accuracy.deviation;
    cell.trials = 0;
    for (const TaskCell* one : same) cell.trials += one->trials;
    result.cells.push_back(cell);
  }
  result.seeds = std::ssize(seeds);
  return result;
}

/// Results of the same name over all seeds; what some lack is noted in `missing`.
template <class T>
std::vector<Named<T>> mean_results(const std::vector<RunFolder>& seeds,
                                   std::vector<Named<T>> RunFolder::*kind, RunFolder& mean) {
  std::map<std::string, std::vector<const T*>> by_name;
  for (const RunFolder& seed : seeds) {
    for (const Named<T>& result : seed.*kind) by_name[result.name].push_back(&result.value);
  }
  std::vector<Named<T>> results;
  for (const auto& [name, all] : by_name) {
    if (all.size() < seeds.size()) {
      mean.missing.push_back(
          core::message(name, " is there for ", all.size(), " of ", seeds.size(), " seeds only"));
    }
    results.push_back({.name = name, .value = mean_of(all, mean.name + ", " + name)});
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

std::vector<std::filesystem::path> seed_folders(const std::filesystem::path& folder) {
  const std::string prefix = "seed-";
  std::map<int64_t, std::filesystem::path> found;
  if (!std::filesystem::is_directory(folder)) return {};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || !entry.is_directory()) continue;
    int64_t number = 0;
    const char *begin = name.data() + prefix.size(), *end = name.data() + name.size();
    const auto parsed = std::from_chars(begin, end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) found[number] = entry.path();
  }
  std::vector<std::filesystem::path> folders;
  for (const auto& [number, path] : found) folders.push_back(path);
  return folders;
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
