// Every measure on the device against the CPU in fp64.
#include <fstream>
#include <functional>

#include "data/tasks/babi_world.h"
#include "data/tasks/babilong_task.h"
#include "dist/thread_communicator.h"
#include "eval/effrem.h"
#include "eval/perplexity.h"
#include "eval/states.h"
#include "eval/tasks/task_evaluation.h"
#include "tests/data/a_task.h"
#include "tests/kernels/device/device_test.h"
#include "tests/model/scratch_folder.h"
#include "tests/model/tiny_model.h"

namespace longhaul::eval {
namespace {

using testing::Values;

const data::RecallTask kRecall{.keys = 6, .values = 5, .reach = 4};

CurveOptions some_options() { return {.length = 45, .sequences = 3, .piece = 16, .batch = 2}; }

/// What was said, as digits of the score.
class Witness final : public AnswerScorer {
 public:
  explicit Witness(bool teacher_forced) : teacher_forced_(teacher_forced) {}
  int64_t tokens(const data::Example&) const override { return 4; }
  double score(const data::Example&, std::span<const int32_t> said) const override {
    double score = 0, place = 1;
    for (const int32_t token : said) score += token * (place /= 257);
    return score;
  }
  bool is_graded() const override { return true; }
  bool is_teacher_forced() const override { return teacher_forced_; }

 private:
  bool teacher_forced_;
};

Values curve_of(const dist::Mesh& mesh, model::LanguageModel& model, int64_t window) {
  CurveOptions options = some_options();
  options.window = window;
  const PositionCurve curve = evaluate_recall(mesh, model, kRecall, options);
  Values values{{"loss", {curve.loss}}, {"accuracy", {curve.accuracy}}};
  for (const Bucket& bucket : curve.buckets) values["losses"].push_back(bucket.loss);
  for (const StatePoint& point : curve.states) {
    values["state means"].push_back(point.mean);
    values["state deviations"].push_back(point.deviation);
  }
  return values;
}

Values effrem_of(const dist::Mesh& mesh, model::LanguageModel& model) {
  const CurveOptions options = some_options();
  Values values;
  const EffRem found = evaluate_effrem(mesh, model, recall_sequences(kRecall, options), options);
  for (const EffRemPoint& point : found.points) values["distances"].push_back(point.distance);
  return values;
}

Values states_of(const dist::Mesh& mesh, model::LanguageModel& model) {
  const CurveOptions options = some_options();
  const StateStatistics found =
      evaluate_states(mesh, model, recall_sequences(kRecall, options), options);
  Values values{{"means", found.pooled.mean},
                {"deviations", found.pooled.deviation},
                {"norms", found.pooled.norm}};
  for (const HeadStates& head : found.heads) {
    values["log-decays"].push_back(head.log_decay);
    values["deviations of heads"].push_back(head.moments.deviation.back());
  }
  return values;
}

/// Scores tell every token that was said.
Values task_of(const dist::Mesh& mesh, model::LanguageModel& model, const data::Task& task,
               int64_t length, bool teacher_forced = false) {
  const Witness witness(teacher_forced);
  const TaskResult found = evaluate_task(
      mesh, model, {{"", task, witness}},
      {.task = "task", .lengths = {length}, .depths = {}, .trials = 5, .piece = 100, .batch = 3});
  return {{"scores", found.cells.front().scores}};
}

Values passkey_of(const dist::Mesh& mesh, model::LanguageModel& model) {
  const auto tokenizer = data::make_tokenizer("byte");
  return task_of(mesh, model, *data::testing::a_task("passkey", *tokenizer), 260);
}

/// Prompts of different lengths.
Values babilong_of(const dist::Mesh& mesh, model::LanguageModel& model) {
  const testing::ScratchFolder scratch;
  const auto tokenizer = data::make_tokenizer("byte");
  const auto file = scratch.path() / "qa1_test.txt";
  std::ofstream(file) << data::tell_babi_stories(1, 3, 1);
  const auto task =
      data::make_babilong_task(file, *tokenizer, nullptr, {.shots = 0, .instruction = false});
  return task_of(mesh, model, *task, 0);
}

struct Measured {
  std::string name;
  std::function<Values(const dist::Mesh&, model::LanguageModel&)> run;
};
void PrintTo(const Measured& measured, std::ostream* out) { *out << measured.name; }

class MeasureOnDevice : public testing::DeviceTest, public ::testing::WithParamInterface<Measured> {
 protected:
  static Values run(core::Device device, core::DType dtype) {
    const auto communicator = dist::solo_communicator();
    const dist::Mesh mesh(*communicator, {});
    core::Context context(device);
    model::ModelConfig config = testing::tiny_config();
    config.vocabulary = 257;
    model::LanguageModel model(context, config, dtype);
    testing::randomize(model, 5);
    return GetParam().run(mesh, model);
  }
};

TEST_P(MeasureOnDevice, SaysWhatItSaysOnTheCpu) {
  const Values expected = run({}, core::DType::kF64);
  EXPECT_FALSE(expected.empty());
  testing::expect_close(run(testing::kCuda, core::DType::kF32), expected, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(
    All, MeasureOnDevice,
    ::testing::Values(Measured{"perplexity", [](const auto& mesh,
                                                auto& model) { return curve_of(mesh, model, 0); }},
                      Measured{"windows", [](const auto& mesh,
                                             auto& model) { return curve_of(mesh, model, 12); }},
                      Measured{"effrem", effrem_of}, Measured{"states", states_of},
                      Measured{"passkey", passkey_of}, Measured{"babilong", babilong_of},
                      Measured{"copy",
                               [](const auto& mesh, auto& model) {
                                 return task_of(mesh, model, *data::testing::a_task("copy"), 30,
                                                true);
                               }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace longhaul::eval
