// A sweep's YAML as a struct.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/core/fields.h"
#include "launch/sweep/measure_config.h"

namespace longhaul::launch {

enum class SearchKind { kGrid, kList, kRandom };
inline const std::vector<std::string_view>& enum_names(SearchKind) {
  static const std::vector<std::string_view> names{"grid", "list", "random"};
  return names;
}

enum class MetricRecord { kTrain, kEvaluation };
inline const std::vector<std::string_view>& enum_names(MetricRecord) {
  static const std::vector<std::string_view> names{"train", "evaluation"};
  return names;
}
enum class MetricGoal { kMinimize, kMaximize };
inline const std::vector<std::string_view>& enum_names(MetricGoal) {
  static const std::vector<std::string_view> names{"minimize", "maximize"};
  return names;
}

/// What recipes are compared by: a value of metrics.jsonl, or a number of one of the measures.
struct MetricConfig {
  MetricRecord record = MetricRecord::kTrain;
  std::string name = "loss";
  MetricGoal goal = MetricGoal::kMinimize;
  int64_t window = 10;
  std::string measure;  ///< "": of metrics.jsonl
  int64_t at = 0;

  template <class V>
  void visit(V& v) {
    v.field("record", record, "train | evaluation: records of metrics.jsonl that hold the metric");
    v.field("name", name,
            "of the value in those records (loss, loss_at_end, accuracy, …), or of the measure's "
            "number");
    v.field("goal", goal,
            "minimize | maximize; not given: maximize of accuracy and exact, else minimize");
    v.field("window", window, "train: mean over so many steps before and at the one compared",
            core::AtLeast{1});
    v.field("measure", measure,
            "one of `measures`, whose number it is (loss, perplexity, accuracy, exact, mean, "
            "deviation, norm, at the greatest length with _at_end; distance); empty: of records");
    v.field("at", at, "measure: at this position or length (effrem: tokens left out); 0: over all",
            core::AtLeast{0});
  }

  /// For readers: "accuracy at 8192 (passkey)".
  std::string title() const;
};

/// Successive halving: at each of `steps` the worst recipes end.
struct HalvingConfig {
  std::vector<int64_t> steps;
  double keep = 0.5;

  template <class V>
  void visit(V& v) {
    v.field("steps", steps, "optimizer steps at which the worst recipes end; empty: none do");
    v.field("keep", keep, "share of the recipes that go on each time, rounded up",
            core::Within{0.01, 0.99});
  }
};

/// For `sweep --slurm`. Texts are words of sbatch's options.
struct SlurmConfig {
  std::string time, partition;
  std::vector<std::string> options;
  int64_t nodes = 1, warning_s = 120;

  template <class V>
  void visit(V& v) {
    v.field("nodes", nodes, "nodes of an arm", core::AtLeast{1});
    v.field("time", time, "time limit of a job; empty: the partition's");
    v.field("partition", partition, "partition; empty: the default one");
    v.field("warning_s", warning_s, "seconds before the time limit at which a job saves",
            core::AtLeast{1});
    v.field("options", options, "further options of sbatch, such as --gpus-per-node=8");
  }
};

/// Key of a run's YAML and value, as in an override "key=value".
using Assignment = std::vector<std::pair<std::string, std::string>>;

struct ValueRange {
  double low = 0, high = 0;
  bool is_log = false, is_whole = false;
};
/// What a key can be: one of `values`, or (random search) somewhere in `range`.
struct Choices {
  std::string key;
  std::vector<std::string> values;
  std::optional<ValueRange> range;
};

struct SweepConfig {
  std::string base, folder;
  SearchKind search = SearchKind::kGrid;
  int64_t samples = 20, seed = 1;
  std::vector<int64_t> seeds;
  std::vector<std::string> constraints;
  MetricConfig metric;
  HalvingConfig halving;
  int64_t ranks = 1, threads = 1, at_once = 0, retries = 1;
  SlurmConfig slurm;
  std::vector<Choices> values;   ///< grid, random
  std::vector<Assignment> arms;  ///< list
  std::vector<MeasureConfig> measures;

  template <class V>
  void visit(V& v) {
    v.field("base", base, "the YAML of a run: what all arms share");
    v.field("folder", folder, "sweep folder: everything of the sweep is written there");
    v.field("search", search, "grid | list | random");
    v.field("samples", samples, "random: recipes drawn", core::Within{1, 10000});
    v.field("seed", seed, "random: of the drawing", core::AtLeast{0});
    v.field("seeds", seeds, "run.seed of each recipe's arms; empty: one arm, the base's seed");
    v.field(
        "constraints", constraints,
        "conditions that every recipe meets, such as \"data.length * data.sequences <= 65536\"");
    v.section("metric", metric);
    v.section("halving", halving);
    v.field("ranks", ranks, "ranks of an arm", core::AtLeast{1});
    v.field("threads", threads, "threads of a rank (parallel.threads)", core::AtLeast{1});
    v.field("at_once", at_once, "arms at once on this machine; 0: as many as fit",
            core::AtLeast{0});
    v.field("retries", retries, "times that a failed arm is started again", core::AtLeast{0});
    v.section("slurm", slurm);
  }
};

/// Reads YAML; `values` maps keys of a run's YAML to lists of values or (random) to {low, high,
/// scale: linear | log, whole: true | false}; `arms` is a list of such maps with one value each;
/// `measures` are what read_measures says.
/// All problems are reported together (InputError; "NAME:LINE: key: …"). Overrides as for a run.
SweepConfig parse_sweep_config(const std::string& yaml_text, const std::string& name,
                               const std::vector<std::string>& overrides = {});
SweepConfig read_sweep_config(const std::string& path,
                              const std::vector<std::string>& overrides = {});

/// The one that the metric is a number of; nullptr if it is of metrics.jsonl.
const MeasureConfig* metric_measure(const SweepConfig& sweep);

}  // namespace longhaul::launch
