#include "eval/tasks/task_evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "eval/piece_run.h"
#include "eval/tasks/trial_batch.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr int64_t kWidth = 2;  // numbers of a trial: score and depth
constexpr int kDepthParts = 5;
constexpr int64_t kMostTrials = 1 << 20;
constexpr int64_t kMostLength = int64_t{1} << 32;

/// Trials [begin, end) of one part, length and depth.
struct Kind {
  size_t part = 0;
  int64_t length = 0;
  double depth = -1;
  int64_t begin = 0, end = 0;
};

class TaskRun {
 public:
  TaskRun(const dist::Mesh& mesh, model::LanguageModel& model, const std::vector<TaskPart>& parts,
          const TaskOptions& options)
      : mesh_(mesh),
        model_(model),
        parts_(parts),
        options_(options),
        pieces_(mesh.sequence_group(), model) {
    for (size_t part = 0; part < parts.size(); ++part) {
      for (const int64_t length : options.lengths) {
        const int64_t trials = std::min(options.trials, parts[part].task.different(length));
        for (const double depth : depths()) {
          kinds_.push_back({.part = part,
                            .length = length,
                            .depth = depth,
                            .begin = units_,
                            .end = units_ + trials});
          units_ += trials;
        }
      }
    }
  }

  TaskResult run() {
    weigh();
    const UnitJob job{
        .units = units_,
        .width = kWidth,
        .batch = options_.batch,
        .run = [this](int64_t first, int64_t count, std::span<double> numbers, BatchWatch& watch) {
          run_batch(first, count, numbers, watch);
        }};
    const Continuation continuation = this->continuation();
    const std::vector<double> numbers = run_units(mesh_, job, continuation);
    for (const Kind& kind : kinds_) {
      scores_.emplace_back(static_cast<size_t>(kind.end - kind.begin));
    }
    for (int64_t unit = 0; unit < job.units; ++unit) {
      const int64_t trial = trial_of(unit);
      const Kind& kind = kind_of(trial);
      const auto at = static_cast<size_t>(unit * kWidth);
      scores_[static_cast<size_t>(&kind - kinds_.data())][static_cast<size_t>(trial - kind.begin)] =
          {numbers[at], numbers[at + 1]};
    }
    return result(measured_by(continuation));
  }

 private:
  /// Units of the first data rank by their tokens: progress is told in these.
  void weigh() {
    const int64_t own = dist::segment_of(units_, mesh_.shape().data, 0).length();
    weights_ = {0};
    for (int64_t unit = 0; unit < own; ++unit) {
      const Kind& kind = kind_of(trial_of(unit));
      weights_.push_back(weights_.back() +
                         static_cast<double>(std::max<int64_t>(kind.length, 256)));
    }
  }
  double weighted(double share) const {
    const double units = share * static_cast<double>(weights_.size() - 1);
    const auto done = std::min(static_cast<size_t>(units), weights_.size() - 2);
    const double part = units - static_cast<double>(done);
    return (weights_[done] + part * (weights_[done + 1] - weights_[done])) / weights_.back();
  }

  struct Score {
    double score = 0, depth = 0;
  };

  std::vector<double> depths() const {
    return options_.depths.empty() ? std::vector<double>{-1} : options_.depths;
  }

  /// Kinds take from no time to hours: all data ranks get the same share of each. Data rank r's
  /// units, which follow each other, are trials r, r + ranks, …
  int64_t trial_of(int64_t unit) const {
    const int ranks = mesh_.shape().data;
    int rank = 0;
    while (unit >= dist::segment_of(units_, ranks, rank).end) ++rank;
    return (unit - dist::segment_of(units_, ranks, rank).begin) * ranks + rank;
  }
  const Kind& kind_of(int64_t trial) const {
    return *std::upper_bound(kinds_.begin(), kinds_.end(), trial,
                             [](int64_t t, const Kind& kind) { return t < kind.end; });
  }

  data::Example example(int64_t trial) const {
    const Kind& kind = kind_of(trial);
    const int64_t number = trial - kind.begin;
    const auto depth = static_cast<uint64_t>(std::llround(1000 * std::max(kind.depth, 0.0)));
    const uint64_t stream =
        (static_cast<uint64_t>(kind.length) << 31) + (depth << 20) + static_cast<uint64_t>(number);
    return parts_[kind.part].task.example(
        {.length = kind.length,
         .depth = kind.depth,
         .key = {options_.seed, stream, core::RandomPurpose::kEvaluation},
         .number = number});
  }

  const AnswerScorer& scorer(int64_t trial) const { return parts_[kind_of(trial).part].scorer; }
  bool is_teacher_forced(int64_t unit) const { return scorer(trial_of(unit)).is_teacher_forced(); }

  void run_batch(int64_t first, int64_t count, std::span<double> numbers, BatchWatch& watch) {
    std::vector<data::Example> examples;
    int64_t tokens = 0, read = 0;
    read_together(mesh_.sequence_group(), [&] {
      for (int64_t i = 0; i < count; ++i) examples.push_back(example(trial_of(first + i)));
    });
    for (const data::Example& each : examples) tokens += std::ssize(each.prompt);
    for (int64_t begin = 0, end = 0; begin < count; begin = end) {
      std::vector<const data::Example*> trials;
      int64_t most = 1;
      for (end = begin; end < count; ++end) {
        const data::Example& next = examples[static_cast<size_t>(end)];
        if (end > begin && (next.prompt.size() != trials.front()->prompt.size() ||
                            is_teacher_forced(first + end) != is_teacher_forced(first + begin))) {
          break;
        }
        trials.push_back(&next);
        most = std::max(most, scorer(trial_of(first + end)).tokens(next));
      }
      const auto advance = [&](int64_t of_each) {
        const int64_t all = read + of_each * std::ssize(trials);
        watch.advance(static_cast<double>(all) / static_cast<double>(tokens));
      };
      const auto said = answers_of(model_, pieces_, trials,
                                   {.count = most,
                                    .teacher_forced = is_teacher_forced(first + begin),
                                    .piece = options_.piece,
                                    .start = options_.start},
                                   advance);
      for (size_t i = 0; i < said.size(); ++i) {
        const auto unit = static_cast<size_t>(begin) + i;
        const AnswerScorer& judge = scorer(trial_of(first + static_cast<int64_t>(unit)));
        const auto wanted = static_cast<size_t>(judge.tokens(*trials[i]));
        numbers[unit * kWidth] = judge.score(*trials[i], std::span(said[i]).first(wanted));
        numbers[unit * kWidth + 1] = trials[i]->depth;
      }
      read += std::ssize(trials.front()->prompt) * std::ssize(trials);
    }
    watch.advance(1);
  }

  Continuation continuation() const {
    Continuation result = options_.continuation;
    const auto add = [&](const std::string& name, const auto& value) {
      result.identity.emplace_back(name, core::message(value));
    };
    if (result.progress) {
      result.progress = [this, shown = result.progress](double share) { shown(weighted(share)); };
    }
    add("measure", options_.task);
    for (const TaskPart& part : parts_) add("task " + part.name, part.task.fingerprint());
    std::string lengths, depths;
    for (const int64_t length : options_.lengths) lengths += core::message(length, " ");
    for (const double depth : options_.depths) depths += core::message(depth, " ");
    add("lengths", lengths);
    add("depths", depths);
    add("trials", options_.trials);
    if (has_limit()) add("questions", "each once");  // others than when one could come again
    add("seed", options_.seed);
    add("piece", options_.piece);
    add("batch", options_.batch);
    add("data ranks", mesh_.shape().data);
    add("sequence ranks", mesh_.shape().sequence);
    add("dtype", core::name_of(model_.dtype()));
    if (!parts_.empty()) {
      const data::Example longest = example(0);
      add("answer tokens", parts_.front().scorer.tokens(longest));
      if (parts_.front().scorer.is_teacher_forced()) add("answers", "teacher forced");
    }
    return result;
  }

  /// Whether there are only so many different questions.
  bool has_limit() const {
    return std::any_of(parts_.begin(), parts_.end(), [this](const TaskPart& part) {
      return part.task.different(options_.lengths.front()) < std::numeric_limits<int64_t>::max();
    });
  }

  TaskCell cell(const Kind& kind, double low, double high, const std::vector<Score>& from) const {
    std::vector<double> scores;
    for (const Score& each : from) scores.push_back(each.score);
    const TaskPart& part = parts_[kind.part];
    return cell_of({.part = part.name, .length = kind.length, .depth_low = low, .depth_high = high},
                   scores, part.scorer.is_graded());
  }

  TaskResult result(Identity measured) const {
    TaskResult result{.task = options_.task,
                      .model = options_.model,
                      .training_length = options_.training_length,
                      .seed = options_.seed,
                      .trials_asked = options_.trials,
                      .measured = std::move(measured),
                      .cells = {}};
    const size_t depths_of_each = depths().size();
    for (size_t begin = 0; begin < kinds_.size(); begin += depths_of_each) {
      std::vector<Score> all;
      for (size_t i = begin; i < begin + depths_of_each; ++i) {
        all.insert(all.end(), scores_[i].begin(), scores_[i].end());
      }
      TaskCell& whole = result.cells.emplace_back(cell(kinds_[begin], 0, 1, all));
      for (const Score& each : all) whole.scores.push_back(each.score);
      if (options_.depths.empty() && options_.depth_matters) {
        add_fifths(kinds_[begin], all, result);
      }
      for (size_t i = begin; i < begin + depths_of_each && !options_.depths.empty(); ++i) {
        result.cells.push_back(cell(kinds_[i], kinds_[i].depth, kinds_[i].depth, scores_[i]));
      }
    }
    return result;
  }

  void add_fifths(const Kind& kind, const std::vector<Score>& all, TaskResult& result) const {
    for (int fifth = 0; fifth < kDepthParts; ++fifth) {
      std::vector<Score> inside;
      for (const Score& each : all) {
        const int at = std::min(kDepthParts - 1, static_cast<int>(kDepthParts * each.depth));
        if (at == fifth) inside.push_back(each);
      }
      const auto edge = [](int n) { return static_cast<double>(n) / kDepthParts; };
      result.cells.push_back(cell(kind, edge(fifth), edge(fifth + 1), inside));
    }
  }

  const dist::Mesh& mesh_;
  model::LanguageModel& model_;
  const std::vector<TaskPart>& parts_;
  const TaskOptions& options_;
  PieceRun pieces_;
  std::vector<Kind> kinds_;
  int64_t units_ = 0;                       // trials of all kinds
  std::vector<std::vector<Score>> scores_;  // of each kind, in the order of its trials
  std::vector<double> weights_;             // [units of the first data rank + 1], summed up
};

/// Before anything is measured: there is an example of every length.
void check_lengths(const std::vector<TaskPart>& parts, const TaskOptions& options) {
  core::Problems problems;
  for (const TaskPart& part : parts) {
    for (const int64_t length : options.lengths) {
      try {
        part.task.example({.length = length,
                           .key = {options.seed, 0, core::RandomPurpose::kEvaluation},
                           .number = 0});
      } catch (const core::InputError& error) {
        problems.push_back(core::message("--lengths: ", error.what()));
      }
    }
  }
  if (!problems.empty()) throw core::InputError(problems);
}

void check(const std::vector<TaskPart>& parts, const TaskOptions& options,
           const model::LanguageModel& model) {
  core::Problems problems;
  const auto within = [&](const char* name, auto value, auto low, auto high) {
    if (!(value >= low && value <= high)) {
      problems.push_back(
          core::message("--", name, ": must be from ", low, " to ", high, ", is ", value));
    }
  };
  if (options.lengths.empty()) problems.push_back("--lengths: none is given");
  for (const int64_t length : options.lengths) within("lengths", length, int64_t{0}, kMostLength);
  for (const double depth : options.depths) within("depths", depth, 0.0, 1.0);
  within("trials", options.trials, int64_t{1}, kMostTrials);
  within("piece", options.piece, int64_t{1}, kMostLength);
  within("batch", options.batch, int64_t{1}, kMostTrials);
  for (const TaskPart& part : parts) {
    if (part.task.vocabulary() > model.config().vocabulary) {
      problems.push_back(core::message("task ", part.task.name(), ": needs a vocabulary of ",
                                       part.task.vocabulary(), ", the model's has ",
                                       model.config().vocabulary));
    }
  }
  if (!problems.empty()) throw core::InputError(problems);
  check_lengths(parts, options);
}

}  // namespace

TaskResult evaluate_task(const dist::Mesh& mesh, model::LanguageModel& model,
                         const std::vector<TaskPart>& parts, const TaskOptions& options) {
  check(parts, options, model);
  return TaskRun(mesh, model, parts, options).run();
}

}  // namespace longhaul::eval
