#include "eval/report_csv.h"

#include <cmath>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "eval/csv.h"
#include "eval/report_tasks.h"
#include "eval/seeds.h"

namespace longhaul::eval {

namespace {

using Cells = std::vector<CsvCell>;

std::vector<std::string> columns(const std::vector<std::string>& own) {
  std::vector<std::string> all{"arm", "seed", "seeds", "evaluation"};
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

std::vector<std::string> bucket_columns() {
  return columns({"task", "begin", "end", "count", "loss", "loss_error", "perplexity", "accuracy",
                  "accuracy_error", "window"});
}

struct Tables {
  CsvTable positions{bucket_columns()}, reaches{bucket_columns()};
  CsvTable states{columns({"position", "mean", "deviation", "deviation_error", "norm"})};
  CsvTable heads{columns({"layer", "head", "log_decay", "log_decay_error", "memory",
                          "shortest_memory", "longest_memory", "beyond"})};
  CsvTable head_states{columns({"layer", "head", "position", "mean", "deviation", "norm"})};
  CsvTable questions{columns({"task", "part", "length", "depth_low", "depth_high", "trials",
                              "accuracy", "low", "high", "exact"})};
  CsvTable effrem{columns({"read", "length", "dropped", "distance", "error"})};
  CsvTable training{{"arm", "step", "tokens", "name", "value"}};
  CsvTable configurations{{"arm", "key", "value"}};
};

void add(CsvTable& table, const Cells& begin, const Cells& own) {
  Cells row = begin;
  row.insert(row.end(), own.begin(), own.end());
  table.add(row);
}

void add_buckets(CsvTable& table, const Cells& begin, const PositionCurve& curve,
                 const std::vector<Bucket>& buckets) {
  for (const Bucket& bucket : buckets) {
    if (bucket.count == 0) continue;
    add(table, begin,
        {curve.task, bucket.begin, bucket.end, bucket.count, bucket.loss, bucket.loss_error,
         std::exp(bucket.loss), bucket.accuracy, bucket.accuracy_error, curve.window});
  }
}

void add_result(Tables& tables, const Cells& begin, const PositionCurve& curve) {
  add_buckets(tables.positions, begin, curve, curve.buckets);
  add_buckets(tables.reaches, begin, curve, curve.reaches);
  for (const StatePoint& point : curve.states) {
    add(tables.states, begin,
        {point.position, point.mean, point.deviation, point.deviation_error, point.norm});
  }
}

void add_result(Tables& tables, const Cells& begin, const EffRem& effrem) {
  for (const EffRemPoint& point : effrem.points) {
    add(tables.effrem, begin,
        {effrem.read, effrem.length, point.dropped, point.distance, point.error});
  }
}

/// Of a head whose elements share its decay they say nothing.
Cells element_cells(const HeadStates& head) {
  if (!head.elements) return {"", "", ""};
  const ElementMemory& own = *head.elements;
  return {own.shortest, own.longest, std::isnan(own.beyond) ? CsvCell("") : CsvCell(own.beyond)};
}

void add_result(Tables& tables, const Cells& begin, const StateStatistics& states) {
  for (size_t i = 0; i < states.positions.size(); ++i) {
    const MomentsByPosition& all = states.pooled;
    add(tables.states, begin,
        {states.positions[i], all.mean[i], all.deviation[i], states.deviation_error.at(i),
         all.norm[i]});
  }
  for (const HeadStates& head : states.heads) {
    Cells row{head.layer, head.head, head.log_decay, head.log_decay_error, head.memory()};
    const Cells of_elements = element_cells(head);
    row.insert(row.end(), of_elements.begin(), of_elements.end());
    add(tables.heads, begin, row);
    for (size_t i = 0; i < states.positions.size(); ++i) {
      const MomentsByPosition& own = head.moments;
      add(tables.head_states, begin,
          {head.layer, head.head, states.positions[i], own.mean[i], own.deviation[i], own.norm[i]});
    }
  }
}

void add_cell(CsvTable& table, const Cells& begin, const std::string& task, const TaskCell& cell) {
  if (cell.trials == 0) return;
  add(table, begin,
      {task, cell.part, cell.length, cell.depth_low, cell.depth_high, cell.trials, cell.accuracy,
       cell.low, cell.high, cell.exact});
}

void add_result(Tables& tables, const Cells& begin, const TaskResult& result) {
  std::set<std::string> parts;
  std::set<std::tuple<int64_t, double, double>> places;
  for (const TaskCell& cell : result.cells) {
    parts.insert(cell.part);
    places.insert({cell.length, cell.depth_low, cell.depth_high});
    if (!cell.part.empty()) add_cell(tables.questions, begin, result.task, cell);
  }
  for (const auto& [length, low, high] : places) {
    add_cell(tables.questions, begin, result.task, pooled_cell(result, length, low, high));
  }
}

/// The number of "seed-N"; else the name.
std::string seed_of(const std::string& name) {
  const std::string_view begin = "seed-";
  return name.starts_with(begin) ? name.substr(begin.size()) : name;
}

template <class T>
void add_results(Tables& tables, const std::string& arm, const RunFolder& run,
                 const std::vector<Named<T>>& results) {
  const std::string* own_seed = find_value(run.configuration, "run.seed");
  for (const Named<T>& result : results) {
    const auto seeds = std::ssize(result.value.of_seeds);
    const std::string seed = seeds == 0 && own_seed != nullptr ? *own_seed : "";
    add_result(tables, {arm, seed, std::max<int64_t>(1, seeds), result.name}, result.value);
    for (const Named<T>& one : result.value.of_seeds) {
      add_result(tables, {arm, seed_of(one.name), int64_t{1}, result.name}, one.value);
    }
  }
}

}  // namespace

void write_report_csv(const std::filesystem::path& folder, const std::vector<RunFolder>& runs,
                      const std::vector<std::string>& arms) {
  Tables tables;
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunFolder& run = runs[i];
    add_results(tables, arms[i], run, run.evaluations);
    add_results(tables, arms[i], run, run.effrems);
    add_results(tables, arms[i], run, run.states);
    add_results(tables, arms[i], run, run.tasks);
    for (const TrainingPoint& point : run.training) {
      for (const auto& [name, value] : point.values) {
        tables.training.add({arms[i], point.step, point.tokens, name, value});
      }
    }
    for (const auto& [key, value] : run.configuration) {
      tables.configurations.add({arms[i], key, value});
    }
  }
  for (const auto& [name, table] : {std::pair{"positions", &tables.positions},
                                    {"reaches", &tables.reaches},
                                    {"states", &tables.states},
                                    {"heads", &tables.heads},
                                    {"head_states", &tables.head_states},
                                    {"questions", &tables.questions},
                                    {"effrem", &tables.effrem},
                                    {"training", &tables.training},
                                    {"configurations", &tables.configurations}}) {
    if (!table->empty()) table->write(folder / (std::string(name) + ".csv"));
  }
}

}  // namespace longhaul::eval
