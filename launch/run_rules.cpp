#include "launch/run_rules.h"

#include <algorithm>
#include <string>
#include <utility>

#include "kernels/core/error.h"
#include "launch/yaml_document.h"

namespace longhaul::launch {

using core::message;

namespace {

class Rules {
 public:
  Rules(const RunConfig& config, YamlDocument& document) : config_(config), document_(document) {}

  void check() {
    check_model();
    check_data();
    check_initial_state();
    check_parallel();
    check_schedule();
    check_run();
  }

 private:
  // A field that could not be read holds its default: nothing to be said of that.
  void report(const std::string& path, const std::string& what) {
    if (!document_.has_problem(path)) document_.report(document_.line_of(path), path, what);
  }

  /// "key: what" as the two.
  static std::pair<std::string, std::string> split(const std::string& problem) {
    const auto colon = std::min(problem.find(": "), problem.size());
    return {problem.substr(0, colon), problem.substr(std::min(colon + 2, problem.size()))};
  }

  std::string kind_name() const {
    const DataKind kind = config_.data.kind;
    return std::string(enum_names(kind)[static_cast<size_t>(kind)]);
  }

  void check_model() {
    const auto& model = config_.model;
    const bool shape = document_.has("model.shape");
    if (!model.from.empty() && shape) {
      report("model.shape", message("is given beside model.from ('", model.from,
                                    "'), which brings its own; expected one of the two"));
    } else if (model.from.empty() && !shape) {
      report("model", "neither model.from (a model folder) nor model.shape is given");
    }
    if (model.from.empty() && shape) {
      core::Problems problems;
      model.shape.validate("model.shape", problems);
      for (const auto& problem : problems) {
        const auto [key, what] = split(problem);
        report(key, what);
      }
    }
  }

  void check_data() {
    const auto& data = config_.data;
    if (data.kind == DataKind::kTokens && data.folder.empty()) {
      report("data.folder", "is not given; data.kind tokens reads a token folder");
    }
    const std::string kind = kind_name();
    const data::TaskKind* task = data.task();
    const bool reads_tokens = data.kind == DataKind::kTokens || (task && task->is_in_text());
    if (!reads_tokens && !data.folder.empty()) {
      report("data.folder", message("is given, but data.kind ", kind, " makes its own data"));
    }
    if (!(task && task->has_words()) && !data.tokenizer.empty()) {
      report("data.tokenizer", message("is given, but data.kind ", kind, " has no words"));
    }
    if (data.kind == DataKind::kRecall) check_recall();
    if (task) check_task(*task);
    // Whose sizes in bytes are far from overflowing, whatever the model.
    constexpr double kMostTokens = 1e11;
    const double tokens =
        static_cast<double>(data.batch.sequences) * static_cast<double>(data.batch.length);
    if (tokens > kMostTokens) {
      report("data.length", message("data.sequences times it must be at most ", kMostTokens,
                                    " tokens, is ", tokens));
    }
    if (data.batch.accumulation >= 1 && data.batch.sequences % data.batch.accumulation != 0) {
      report("data.accumulation", message("must divide data.sequences (", data.batch.sequences,
                                          "), is ", data.batch.accumulation));
    }
  }

  void check_recall() {
    const auto& data = config_.data;
    if (data.batch.length % 2 != 0) {
      report("data.length", message("must be even for data.kind recall (pairs of key and value), "
                                    "is ",
                                    data.batch.length));
    }
    constexpr int64_t kMostSymbols = int64_t{1} << 30;  // tokens are 32 bits wide
    for (const auto& [key, count] : {std::pair{"data.recall.keys", data.recall.keys},
                                     std::pair{"data.recall.values", data.recall.values}}) {
      if (count > kMostSymbols)
        report(key, message("must be at most ", kMostSymbols, ", is ", count));
    }
    if (data.recall.query_fraction <= 0) {
      report("data.recall.query_fraction",
             message("must be above 0 (without queries there is nothing to answer), is ",
                     data.recall.query_fraction));
    }
    if (data.recall.keys <= data.recall.reach) {
      report("data.recall.keys", message("must be more than data.recall.reach (", data.recall.reach,
                                         "), is ", data.recall.keys));
    }
  }

  void check_task(const data::TaskKind& task) {
    if (task.is_in_text() && config_.data.folder.empty()) {
      report("data.folder", message("is not given; data.kind ", task.name(),
                                    " hides what it asks about in text from there"));
    }
    for (const std::string& problem : task.problems()) {
      const auto [setting, what] = split(problem);
      report(message("data.", task.name(), ".", setting), what);
    }
    const data::LeastRow least = task.least_row();
    if (config_.data.batch.length < least.tokens) {
      report("data.length", message("must be at least ", least.tokens, " for ", least.holds,
                                    ", is ", config_.data.batch.length));
    }
  }

  void check_initial_state() {
    const auto& state = config_.initial_state;
    if (!state.reset_at_documents) return;
    if (state.source != trainer::SourceKind::kTbtt) {
      report("initial_state.reset_at_documents", "is for initial_state.source tbtt only");
    } else if (config_.data.kind != DataKind::kTokens) {
      report("initial_state.reset_at_documents",
             message("data.kind ", kind_name(), " has no documents"));
    }
  }

  // Every sequence rank must have at least one token of every segment.
  void check_parallel() {
    const auto& batch = config_.data.batch;
    const int64_t ranks = config_.parallel.sequence;
    if (batch.segments >= 1 && batch.length / batch.segments < ranks) {
      const bool segments = batch.length < batch.segments || ranks == 1;
      report(segments ? "data.segments" : "parallel.sequence",
             message("a sequence of ", batch.length, " tokens (data.length) cannot be cut into ",
                     batch.segments, " segments (data.segments) of at least one token for each of ",
                     ranks, " ranks (parallel.sequence)"));
    }
  }

  void check_schedule() {
    const auto& schedule = config_.schedule;
    if (schedule.warmup > schedule.steps) {
      report("schedule.warmup",
             message("must be at most schedule.steps (", schedule.steps, "), is ", schedule.warmup,
                     schedule.warmup == trainer::ScheduleConfig{}.warmup ? " (the default)" : ""));
    } else if (schedule.kind == trainer::ScheduleKind::kWsd &&
               schedule.decay_steps > schedule.steps - schedule.warmup) {
      report("schedule.decay_steps",
             message("must be at most the ", schedule.steps - schedule.warmup,
                     " steps after warm-up, is ", schedule.decay_steps));
    }
  }

  void check_run() {
    if (config_.run.folder.empty()) {
      report("run.folder", "is not given; everything of the run is written there");
    }
    if (config_.run.device == DeviceChoice::kCuda && config_.run.dtype == DTypeChoice::kF64) {
      report("run.dtype", "fp64 is there for the cpu only, run.device is cuda");
    }
    if (config_.run.device == DeviceChoice::kCpu && config_.run.dtype == DTypeChoice::kBF16) {
      report("run.dtype", "bf16 is there for cuda only, run.device is cpu");
    }
    if (config_.run.device == DeviceChoice::kCpu && config_.parallel.cuda_graphs) {
      report("parallel.cuda_graphs", "is there for cuda only, run.device is cpu");
    }
    const auto& evaluation = config_.evaluation;
    if (config_.checkpoint.keep_best > 0 && evaluation.every == 0) {
      report("checkpoint.keep_best", "needs evaluations: evaluation.every is 0");
    }
    const data::TaskKind* task = config_.data.task();
    const bool reads_text = config_.data.kind == DataKind::kTokens || (task && task->is_in_text());
    if (!reads_text && !evaluation.folder.empty()) {
      report("evaluation.folder",
             message("is given, but data.kind ", kind_name(), " is evaluated on its own task"));
    }
    if (config_.data.kind == DataKind::kRecall && evaluation.length % 2 != 0) {
      report("evaluation.length",
             message("must be even for data.kind recall, is ", evaluation.length));
    }
  }

  const RunConfig& config_;
  YamlDocument& document_;
};

}  // namespace

void check_rules(const RunConfig& config, YamlDocument& document) {
  Rules(config, document).check();
}

int64_t data_ranks(const RunConfig& config, int64_t ranks) {
  return config.parallel.data > 0 ? config.parallel.data : ranks / config.parallel.sequence;
}

void check_against_world(const RunConfig& config, int64_t ranks) {
  const auto& parallel = config.parallel;
  const auto& batch = config.data.batch;
  core::Problems problems;
  const int64_t data = data_ranks(config, ranks);
  if (parallel.data == 0 && ranks % parallel.sequence != 0) {
    problems.push_back(message("parallel.sequence: must divide the ", ranks, " ranks started, is ",
                               parallel.sequence));
  } else if (parallel.data > 0 &&
             (data > ranks || parallel.sequence > ranks || data * parallel.sequence != ranks)) {
    problems.push_back(message(
        "parallel.data: found ", data, " data ranks × ", parallel.sequence,
        " sequence ranks, expected their product to be the ", ranks, " ranks started",
        ranks % parallel.sequence == 0 ? "; parallel.data=0 takes as many as there are" : ""));
  } else if ((batch.sequences / batch.accumulation) % data != 0) {
    problems.push_back(message("data.sequences: found ", batch.sequences,
                               ", expected a multiple of data ranks × data.accumulation (", data,
                               " × ", batch.accumulation, ")"));
  }
  if (!problems.empty()) throw core::InputError(problems);
}

}  // namespace longhaul::launch
