// Curves of windows beside the plain ones: what an arm reaches with short context.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "eval/findings.h"
#include "eval/perplexity.h"
#include "eval/report.h"
#include "eval/run_folder.h"
#include "eval/section.h"
#include "eval/seeds.h"
#include "kernels/core/error.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Loss 2 up to the training length, then `growth` more with every octave.
PositionCurve curve(double growth, int64_t window = 0, const std::string& model = "m") {
  PositionCurve curve{.task = "text",
                      .length = 1024,
                      .sequences = 4,
                      .training_length = 64,
                      .window = window,
                      .measured = {{"model", model}, {"tokens", "7"}, {"seed", "1"}}};
  if (window > 0) curve.measured.emplace_back("window", std::to_string(window));
  curve.buckets = log_buckets(curve.length);
  for (Bucket& bucket : curve.buckets) {
    bucket.count = 4 * (bucket.end - bucket.begin);
    bucket.loss = 2 + growth * std::max(0.0, std::log2(static_cast<double>(bucket.end) / 64));
    bucket.loss_error = 0.001;
    bucket.accuracy_error = 0.01;
  }
  return curve;
}

RunFolder run(const std::string& name, const std::vector<PositionCurve>& curves) {
  RunFolder run;
  run.name = name;
  for (const PositionCurve& each : curves) {
    run.evaluations.push_back({"w" + std::to_string(each.window), each});
  }
  return run;
}

TEST(WindowSections, AreReferencesOfTheCurveOverTheSameSequences) {
  const std::vector<RunFolder> runs{run("a", {curve(0.1), curve(0, 64), curve(0, 16)}),
                                    run("b", {curve(0, 64)}), run("c", {curve(0)})};
  const std::vector<Section> sections = make_sections(runs);
  ASSERT_EQ(sections.size(), 2u);
  EXPECT_EQ(sections[0].title, "Text");  // whole curves are one evaluation, whatever else is there
  EXPECT_EQ(sections[0].curves[1], nullptr);
  ASSERT_EQ(sections[0].references.size(), 2u);
  EXPECT_EQ(sections[0].references[0].arm, 0u);
  EXPECT_EQ(sections[0].references[0].curve->window, 16);
  EXPECT_EQ(sections[0].references[1].curve->window, 64);
  // b has no plain curve to refer to: nothing is left out.
  EXPECT_EQ(sections[1].title, "Text: w64, read in windows");
  EXPECT_TRUE(sections[1].of_windows);
  EXPECT_EQ(sections[1].curves[0], nullptr);
  EXPECT_EQ(sections[1].curves[1]->window, 64);
  EXPECT_THAT(findings(sections[1], {"a", "b", "c"}),
              ::testing::ElementsAre("what is reached with short context alone."));
}

TEST(WindowSections, AreNoReferenceOfAnotherModelOrOfOtherSequences) {
  PositionCurve other = curve(0, 64);
  other.measured[1].second = "8";
  for (const PositionCurve& windows : {curve(0, 64, "another"), other}) {
    const std::vector<RunFolder> runs{run("a", {curve(0.1), windows})};
    const std::vector<Section> sections = make_sections(runs);
    ASSERT_EQ(sections.size(), 2u);
    EXPECT_TRUE(sections[0].references.empty());
  }
}

std::vector<std::string> findings_of(const std::vector<RunFolder>& runs) {
  std::vector<std::string> arms;
  for (const RunFolder& each : runs) arms.push_back(each.name);
  return findings(make_sections(runs).front(), arms);
}

TEST(WindowFindings, FailureIsToldAgainstShortContextAtTheSamePositions) {
  const auto found =
      findings_of({run("hard", {curve(0.1), curve(0.1, 64)}),
                   run("lost", {curve(0.1), curve(0, 64)}), run("plain", {curve(0.1)})});
  EXPECT_EQ(found[0], "lost and plain fail past the training length; hard holds.");
  EXPECT_THAT(found[1], HasSubstr("; windows of 64 reach 11.02, so that it is 1 × what short "
                                  "context gives (not told apart)"));
  EXPECT_THAT(found[2], HasSubstr("; windows of 64 reach 7.389, so that it is 1.49 × what short "
                                  "context gives"));
  EXPECT_THAT(found[2], Not(HasSubstr("not told apart")));
  EXPECT_THAT(found[3], Not(HasSubstr("windows")));
}

TEST(WindowFindings, WindowsOfOtherSizesDecideNothing) {
  for (const int64_t window : {16, 128}) {
    const auto found = findings_of({run("hard", {curve(0.1), curve(0.1, window)})});
    EXPECT_EQ(found[0], "Every arm fails past its training length.") << window;
  }
}

TEST(WindowFindings, EachSeedIsHeldAgainstItsOwn) {
  const RunFolder mean = mean_of_seeds(
      "arm", {run("1", {curve(0.1), curve(0.1, 64)}), run("2", {curve(0.2), curve(0.2, 64)}),
              run("3", {curve(0.2), curve(0, 64)})});
  const auto found = findings_of({mean});
  EXPECT_THAT(found[1], HasSubstr("fails in 1 of 3 seeds"));
  EXPECT_THROW(mean_of_seeds("arm", {run("1", {curve(0, 64)}),
                                     [] {
                                       RunFolder other = run("2", {curve(0, 64)});
                                       other.evaluations[0].value.window = 32;
                                       return other;
                                     }()}),
               core::InputError);
}

TEST(WindowReport, ShowsThemDottedAndInRowsOfTheirOwn) {
  const testing::ScratchFolder scratch;
  const auto folder = scratch.path() / "base" / "evaluation";
  std::filesystem::create_directories(folder);
  write_curve(folder / "text.json", curve(0.1));
  write_curve(folder / "floor.json", curve(0, 64));
  EXPECT_EQ(read_curve(folder / "floor.json").window, 64);
  write_report({.runs = {scratch.path() / "base"}, .output = scratch.path() / "r.html"});
  const std::string page = testing::read_all(scratch.path() / "r.html");
  EXPECT_THAT(page, HasSubstr("<span>base, windows of 64</span>"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">base, windows of 64</th>"));
  EXPECT_THAT(page, HasSubstr("stroke-dasharray=\"1.5,2.5\""));
  EXPECT_THAT(page, HasSubstr("Dotted, a reference of the same arm"));
  EXPECT_THAT(page, Not(HasSubstr("not measured alike")));
  EXPECT_THAT(format_table(read_curve(folder / "floor.json")),
              HasSubstr("text, 4 sequences of 1024 tokens in windows of 64: "));
}

}  // namespace
}  // namespace longhaul::eval
