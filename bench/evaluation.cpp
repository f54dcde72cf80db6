// Speed of the measures of `longhaul eval` as a share of the model's own: each in turn with plain
// forward passes over as many tokens in the same pieces, and as many single-token steps as an
// answer has. What is missing to 1 is what reading, sums, states, suffixes and questions cost.
// Under mpirun the ranks are data-parallel.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/support/machine.h"
#include "bench/support/shapes.h"
#include "bench/support/trial_data.h"
#include "data/tasks/task_kind.h"
#include "eval/effrem.h"
#include "eval/perplexity.h"
#include "eval/states.h"
#include "eval/tasks/task_evaluation.h"
#include "eval/tasks/task_scoring.h"
#include "launch/command_options.h"
#include "launch/rank_session.h"
#include "model/init.h"

namespace {

using namespace longhaul;

/// Sets every option that is yes or no.
class Flags final : public core::FieldVisitor {
 public:
  void field(const char*, int64_t&, const char*, const Rule<int64_t>&) override {}
  void field(const char*, double&, const char*, const Rule<double>&) override {}
  void field(const char*, bool& value, const char*) override { value = true; }
  void path(const char*, std::string&, const char*) override {}
  void paths(const char*, std::vector<std::string>&, const char*) override {}
};

enum class Head { kNone, kLosses, kPredictions };

/// The model by itself, without an evaluation around it.
class PlainModel {
 public:
  PlainModel(model::LanguageModel& model, int64_t piece)
      : model_(model), context_(model.context()), piece_(piece) {}

  /// `rows` sequences side by side, each from zeros.
  void begin(int64_t rows) {
    state_ = model_.make_state(rows);
    next_ = model_.make_state(rows);
  }
  void read(int64_t tokens, Head head) {
    for (int64_t at = 0; at < tokens; at += piece_) forward(std::min(piece_, tokens - at), head);
  }
  void say(int64_t tokens) {
    for (int64_t at = 0; at < tokens; ++at) forward(1, Head::kPredictions);
  }

 private:
  void forward(int64_t length, Head head) {
    const core::Shape shape{state_.batch(), length};
    if (tokens_.view().shape() != shape) {
      const auto count = static_cast<size_t>(shape.elements());
      tokens_ = core::Tensor::from(context_, std::vector<int32_t>(count, 1), shape);
      loss_ = core::Tensor(context_, core::state_dtype(model_.dtype()), shape);
      predicted_ = core::Tensor(context_, core::DType::kI32, shape);
    }
    model::ForwardPass pass{.tokens = tokens_, .initial = &state_, .final_state = &next_};
    if (head != Head::kNone) pass.labels = tokens_, pass.predicted = predicted_;
    if (head == Head::kLosses) pass.loss = loss_;
    model_.forward(pass);
    std::swap(state_, next_);
  }

  model::LanguageModel& model_;
  core::Context& context_;
  int64_t piece_;
  model::RecurrentState state_, next_;
  core::Tensor tokens_, loss_, predicted_;
};

/// A measure, and the model's own work in it, on this rank.
struct Measured {
  std::string name;
  double tokens = 0;  ///< of all ranks
  std::function<void()> evaluate, plain;
};

struct Timing {
  int64_t repeats = 5;
  bool cpu_time = false;
};

/// Both by turns, so that other load meets both; of each the fastest of all but the first counts.
nlohmann::ordered_json compare(core::Context& context, dist::Communicator& world,
                               const Timing& timing, const Measured& measured) {
  const auto timed = [&](const std::function<void()>& run) {
    core::synchronize(context);
    world.barrier();
    const double start = bench::seconds(timing.cpu_time);
    run();
    core::synchronize(context);
    return world.max(bench::seconds(timing.cpu_time) - start);
  };
  double evaluation = 1e30, forward = 1e30;
  for (int64_t i = 0; i <= timing.repeats; ++i) {
    const double with = timed(measured.evaluate), without = timed(measured.plain);
    if (i == 0) continue;
    evaluation = std::min(evaluation, with);
    forward = std::min(forward, without);
  }
  return {{"tokens", measured.tokens},
          {"tokens_per_second", measured.tokens / evaluation},
          {"forward_tokens_per_second", measured.tokens / forward},
          {"ratio_to_forward", forward / evaluation}};
}

/// The measures of one model, mesh and size.
class Measures {
 public:
  Measures(const dist::Mesh& mesh, model::LanguageModel& model, const eval::CurveOptions& options)
      : mesh_(mesh), model_(model), options_(options), plain_(model, options.piece) {}

  std::vector<Measured> all() {
    std::vector<Measured> list{curve(), states(), effrem()};
    if (model_.config().vocabulary >= data_.tokenizer().vocabulary()) {
      list.push_back(task("passkey", *passkey_, *passkey_scorer_, options_.length));
      list.push_back(task("babilong", data_.babilong(), *babilong_scorer_, options_.length));
    }
    list.push_back(task("copy", *copy_, *forced_, copy_kind_->prompt_of(options_.length / 2)));
    const int64_t letters = std::min<int64_t>(options_.length / 2, kLettersSaid);
    list.push_back(task("copy --free", *copy_, *free_, copy_kind_->prompt_of(letters)));
    return list;
  }

 private:
  static constexpr int64_t kLettersSaid = 128;

  std::unique_ptr<data::Task> made(const data::TaskKind& kind) const {
    return std::move(kind.make({.tokenizer = &data_.tokenizer()}).front());
  }
  std::unique_ptr<eval::AnswerScorer> scorer_of(const std::string& name, const data::Task& task,
                                                bool with_flags = false) const {
    const auto scoring = eval::make_task_scoring(name);
    Flags flags;
    if (with_flags) scoring->visit(flags);
    return scoring->make(task, &data_.tokenizer());
  }

  /// `run` for each batch of this rank's sequences, with the rows of it.
  void batches(int64_t units, int64_t batch, const std::function<void(int64_t rows)>& run) const {
    const int64_t own = dist::segment_of(units, mesh_.shape().data, mesh_.data_rank()).length();
    for (int64_t at = 0; at < own; at += batch) run(std::min(batch, own - at));
  }
  void read_sequences(Head head) {
    batches(options_.sequences, options_.batch, [&](int64_t rows) {
      plain_.begin(rows);
      plain_.read(options_.length, head);
    });
  }
  double tokens() const { return static_cast<double>(options_.length * options_.sequences); }

  Measured curve() {
    return {.name = "perplexity",
            .tokens = tokens(),
            .evaluate = [this] { eval::evaluate_curve(mesh_, model_, sequences_, options_); },
            .plain = [this] { read_sequences(Head::kLosses); }};
  }
  Measured states() {
    return {.name = "states",
            .tokens = tokens(),
            .evaluate = [this] { eval::evaluate_states(mesh_, model_, sequences_, options_); },
            .plain = [this] { read_sequences(Head::kNone); }};
  }
  /// A sequence for each rank, against passes of as many rows as the others have.
  Measured effrem() {
    eval::CurveOptions one = options_;
    one.sequences = mesh_.shape().data;
    one.length -= 1 - one.length % 2;  // to end in a query
    int64_t tokens = one.length;
    for (const int64_t t : eval::effrem_grid(one.length)) tokens += one.length - t;
    return {.name = "effrem",
            .tokens = static_cast<double>(tokens * one.sequences),
            .evaluate =
                [this, one, sequences = eval::recall_sequences(recall_, one)] {
                  eval::evaluate_effrem(mesh_, model_, sequences, one);
                },
            .plain =
                [this, tokens] {
                  plain_.begin(options_.batch);
                  plain_.read(tokens / options_.batch, Head::kNone);
                }};
  }
  /// Prompts of `length` tokens, whose last one begins the answer.
  Measured task(const std::string& name, const data::Task& task, const eval::AnswerScorer& scorer,
                int64_t length) {
    const eval::TaskOptions options{.task = name,
                                    .lengths = {length},
                                    .depths = {},
                                    .trials = options_.sequences,
                                    .piece = options_.piece,
                                    .batch = options_.batch};
    const int64_t said = scorer.tokens(task.example({.length = length}));
    const auto plain = [this, &scorer, length, said] {
      batches(options_.sequences, options_.batch, [&](int64_t rows) {
        plain_.begin(rows);
        plain_.read(length - 1, Head::kNone);
        scorer.is_teacher_forced() ? plain_.read(said, Head::kPredictions) : plain_.say(said);
      });
    };
    return {.name = name,
            .tokens = static_cast<double>((length - 1 + said) * options_.sequences),
            .evaluate =
                [this, &task, &scorer, options] {
                  evaluate_task(mesh_, model_, {{"", task, scorer}}, options);
                },
            .plain = plain};
  }

  const dist::Mesh& mesh_;
  model::LanguageModel& model_;
  const eval::CurveOptions& options_;
  PlainModel plain_;
  const data::RecallTask recall_{.keys = 128, .values = 64, .reach = 16};
  const eval::Sequences sequences_ = eval::recall_sequences(recall_, options_);
  const bench::TrialData data_{options_.length};
  const std::unique_ptr<data::TaskKind> copy_kind_ = data::make_task_kind("copy")->for_evaluation();
  const std::unique_ptr<data::Task> passkey_ =
                                        made(*data::make_task_kind("passkey")->for_evaluation()),
                                    copy_ = made(*copy_kind_);
  const std::unique_ptr<eval::AnswerScorer> passkey_scorer_ = scorer_of("passkey", *passkey_),
                                            babilong_scorer_ =
                                                scorer_of("babilong", data_.babilong()),
                                            forced_ = scorer_of("copy", *copy_),
                                            free_ = scorer_of("copy", *copy_, true);
};

}  // namespace

int main(int argc, char** argv) {
  longhaul::bench::end_on_errors("bench_evaluation");
  CLI::App app{
      "Speed of the measures of longhaul eval over that of the model by itself.\n"
      "  bench_evaluation --shape text --length 16384\n"
      "  mpirun -n 2 bench_evaluation --threads 1\n"
      "  bench_evaluation --shape mamba2-130m --device cuda --dtype bf16"};
  std::string name = "text", json;
  std::vector<std::string> only;
  Timing timing;
  launch::ComputeOptions compute{.device = "cpu"};
  eval::CurveOptions options{.length = 16384, .sequences = 8, .piece = 2048, .batch = 8};
  app.add_option("--shape", name, "recall | text | mamba2-130m to 2.7b | mamba1-130m to 2.8b")
      ->check(CLI::IsMember(bench::shapes()));
  app.add_option("--length", options.length,
                 "tokens of a sequence, of a prompt, of a string with its copy")
      ->check(launch::whole_number(512));
  app.add_option("--sequences", options.sequences,
                 "sequences, and trials of a task (effrem reads one for each rank)");
  app.add_option("--piece", options.piece, "tokens of a sequence read at a time");
  app.add_option("--batch", options.batch, "sequences read side by side");
  app.add_option("--only", only, "measures, as perplexity,passkey; default: all")->delimiter(',');
  app.add_option("--repeats", timing.repeats, "timed runs; the fastest counts")
      ->check(launch::whole_number(1));
  app.add_flag("--cpu-time", timing.cpu_time, "count processor time instead of the wall clock");
  app.add_option("--json", json, "also write the result to this file");
  compute.describe(app);
  CLI11_PARSE(app, argc, argv);

  launch::RankSession session(&argc, &argv);
  core::Context context = launch::make_context(compute, session);
  launch::DeviceWorld device_world(session, context, dist::MpiSession::Options{}.time_limit_s);
  dist::Communicator& world = device_world.get();
  const dist::Mesh mesh = launch::make_mesh(world, 1);
  model::LanguageModel model(context, bench::shapes().at(name).config, compute.element_type());
  model::initialize(model, 1);
  nlohmann::ordered_json ratios;
  Measures measures(mesh, model, options);
  for (const Measured& each : measures.all()) {
    if (!only.empty() && std::ranges::find(only, each.name) == only.end()) continue;
    ratios[each.name] = compare(context, world, timing, each);
  }
  if (!session.is_first()) return 0;
  nlohmann::ordered_json result{{"bench", "evaluation"},
                                {"shape", name},
                                {"device", core::name_of(context.device())},
                                {"dtype", compute.dtype},
                                {"length", options.length},
                                {"sequences", options.sequences},
                                {"piece", options.piece},
                                {"batch", options.batch},
                                {"ranks", world.size()},
                                {"threads_per_rank", context.threads()},
                                {"measures", ratios},
                                {"machine", nlohmann::json::parse(bench::machine_json(context))}};
  std::cout << result.dump(2) << "\n";
  if (!json.empty()) std::ofstream(json) << result.dump(2) << "\n";
  return 0;
}
