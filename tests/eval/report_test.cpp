#include "eval/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>

#include "eval/findings.h"
#include "eval/html.h"
#include "eval/perplexity.h"
#include "eval/plot.h"
#include "kernels/core/error.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

/// Loss 2 up to the training length, then `growth` more with every octave.
PositionCurve curve_that_grows(double growth, const std::string& task = "text") {
  PositionCurve curve{.task = task, .length = 8192, .sequences = 4, .training_length = 128};
  curve.buckets = log_buckets(curve.length);
  for (Bucket& bucket : curve.buckets) {
    bucket.count = 4 * (bucket.end - bucket.begin);
    const double octaves = std::max(0.0, std::log2(static_cast<double>(bucket.end) / 128));
    bucket.loss = 2 + growth * octaves;
    bucket.loss_error = 0.01;
    bucket.accuracy = std::max(0.0, 0.9 - growth * octaves);
    bucket.accuracy_error = 0.01;
    curve.states.push_back({.position = bucket.end, .deviation = 1 + growth * octaves});
  }
  return curve;
}

void write_run(const testing::ScratchFolder& scratch, const std::string& name, double growth) {
  scratch.write(name + "/metrics.jsonl",
                "{\"step\":1,\"loss\":3,\"gradient_norm\":1}\n"
                "{\"step\":2,\"loss\":2,\"gradient_norm\":2}\n");
  scratch.write(name + "/run.yaml",
                "initial_state:\n  source: " + name + "\noptimizer:\n  rate: 0.001\n");
  std::filesystem::create_directories(scratch.path() / name / "evaluation");
  write_curve(scratch.path() / name / "evaluation/text.json", curve_that_grows(growth));
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::vector<std::string> findings_of(const std::vector<PositionCurve>& curves) {
  Section section{.task = curves.front().task, .title = "", .training_length = 128};
  std::vector<std::string> arms;
  for (const PositionCurve& curve : curves) {
    section.curves.push_back(&curve);
    arms.push_back(std::string(1, static_cast<char>('a' + arms.size())));
  }
  return findings(section, arms);
}

TEST(Findings, SaysWhoFailsAndByHowMuch) {
  const auto found = findings_of({curve_that_grows(0.5), curve_that_grows(0)});
  EXPECT_EQ(found[0], "a fails past the training length; b holds.");
  EXPECT_NE(found[1].find("perplexity at 64× the training length is 20.1 × that inside it "
                          "(148.4 after 7.389)"),
            std::string::npos)
      << found[1];
  EXPECT_NE(found[1].find("the deviation of its state there is 4 × that inside"), std::string::npos)
      << found[1];
  EXPECT_NE(found[2].find("is 1 × that inside it"), std::string::npos) << found[2];
}

TEST(Findings, SayWhereAStateInsideTheTrainingLengthWasMeasured) {
  PositionCurve curve = curve_that_grows(0.5);
  curve.training_length = 127;
  const auto found = findings_of({curve});
  EXPECT_NE(found[1].find("× that at position 96, the last one measured inside."),
            std::string::npos)
      << found[1];
}

TEST(Findings, SaysPlainlyThatNobodyFails) {
  const auto found = findings_of({curve_that_grows(0.01), curve_that_grows(-0.1)});
  EXPECT_EQ(found[0].find("No arm fails past its training length"), 0u) << found[0];
  EXPECT_NE(found[1].find("is 1.06 × that inside it"), std::string::npos) << found[1];
}

TEST(Findings, WhatWasNotLearnedDoesNotHold) {
  PositionCurve unlearned = curve_that_grows(0);
  unlearned.task = "recall";
  for (Bucket& bucket : unlearned.buckets) bucket.accuracy = bucket.end <= 128 ? 0.02 : 0.04;
  const auto found = findings_of({unlearned});
  EXPECT_EQ(found[0], "Nothing can be said about lengths past the training length.");
  EXPECT_NE(
      found[1].find("it has not learned the task: accuracy inside its training length is 2.0%"),
      std::string::npos)
      << found[1];
}

TEST(Findings, WhatIsWorseWithinNoiseIsUndecided) {
  PositionCurve noisy = curve_that_grows(0.1);
  for (Bucket& bucket : noisy.buckets) bucket.loss_error = 0.5;
  const auto alone = findings_of({noisy});
  EXPECT_EQ(alone[0], "Whether an arm fails past its training length is undecided.");
  EXPECT_NE(alone[1].find("; undecided: at 64× it is worse, but by less than two standard errors "
                          "(4 sequences)."),
            std::string::npos)
      << alone[1];
  const auto among = findings_of({curve_that_grows(0.5), noisy, curve_that_grows(0)});
  EXPECT_EQ(among[0], "a fails past the training length; c holds; b is undecided.");
  for (Bucket& bucket : noisy.buckets) bucket.loss = 2;  // no worse at all
  EXPECT_EQ(findings_of({noisy})[0].find("No arm fails"), 0u);
}

TEST(Findings, OneSequenceDecidesNothing) {
  for (const double growth : {0.5, 0.0}) {
    for (const char* task : {"text", "recall"}) {
      PositionCurve one = curve_that_grows(growth, task);
      one.sequences = 1;
      for (Bucket& bucket : one.buckets) bucket.loss_error = bucket.accuracy_error = std::nan("");
      const auto found = findings_of({one});
      EXPECT_EQ(found[0], "Whether an arm fails past its training length is undecided.");
      EXPECT_NE(found[1].find("; undecided: one sequence says nothing of chance."),
                std::string::npos)
          << found[1];
    }
  }
}

TEST(Findings, LossThatIsLostIsAFailure) {
  PositionCurve lost = curve_that_grows(0);
  lost.buckets.back().loss = std::nan("");
  const auto found = findings_of({lost});
  EXPECT_EQ(found[0], "Every arm fails past its training length.");
  EXPECT_NE(found[1].find("not finite from position 6144 on (48× the training length)"),
            std::string::npos)
      << found[1];
}

TEST(Findings, RecallIsJudgedByAccuracy) {
  const auto found =
      findings_of({curve_that_grows(0.1, "recall"), curve_that_grows(0.001, "recall")});
  EXPECT_EQ(found[0], "a fails past the training length; b holds.");
  EXPECT_NE(found[1].find("accuracy at 64× the training length is 30.0%, inside it 90.0%"),
            std::string::npos)
      << found[1];
}

TEST(Findings, NothingIsClaimedWithoutMeasurement) {
  PositionCurve unknown = curve_that_grows(1), within = curve_that_grows(1);
  unknown.training_length = 0;
  within.training_length = 8192;
  const auto found = findings_of({unknown, within});
  EXPECT_EQ(found[0], "Nothing can be said about lengths past the training length.");
  EXPECT_NE(found[1].find("not known"), std::string::npos);
  EXPECT_NE(found[2].find("not evaluated past"), std::string::npos);
}

TEST(Sections, SeveralEvaluationsOfATaskAndSteps) {
  std::vector<RunFolder> runs(2);
  runs[0].evaluations = {{"books", curve_that_grows(0)},
                         {"code-step-100", curve_that_grows(1)},
                         {"code-step-20", curve_that_grows(2)}};
  runs[1].evaluations = {{"books", curve_that_grows(0)}, {"r", curve_that_grows(0, "recall")}};
  const auto sections = make_sections(runs);
  ASSERT_EQ(sections.size(), 3u);
  EXPECT_EQ(sections[0].title, "Text: books");
  EXPECT_EQ(sections[1].title, "Text: code");
  EXPECT_EQ(sections[1].curves[0], &runs[0].evaluations[1].value);  // step 100, not 20
  EXPECT_EQ(sections[1].curves[1], nullptr);
  EXPECT_EQ(sections[2].title, "Associative recall");
  EXPECT_EQ(sections[2].curves[0], nullptr);
}

TEST(Sections, ColumnsAreMultiplesOfTheTrainingLength) {
  const PositionCurve curve = curve_that_grows(0);
  Section section{.task = "text", .title = "", .curves = {&curve}, .training_length = 1000};
  std::vector<std::string> names;
  std::vector<int64_t> ends;
  for (const LengthColumn& column : length_columns(section)) {
    names.push_back(column.name);
    ends.push_back(column.end);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"1×", "2×", "4×", "8×", "8.2×"}));
  EXPECT_EQ(ends, (std::vector<int64_t>{768, 1536, 3072, 6144, 8192}));
}

TEST(Html, EscapesEverythingThatCouldEndAnElementOrAttribute) {
  EXPECT_EQ(escape_html("<script>\"'&\x01\n×"), "&lt;script&gt;&quot;&#39;&amp;  ×");
  EXPECT_EQ(escape_html("\xff\xc0\x80 \xe2\x82"),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Report, HoldsEveryArmPlotsAndTables) {
  const testing::ScratchFolder scratch;
  write_run(scratch, "zero", 0.5);
  write_run(scratch, "passing", 0);
  const auto output = scratch.path() / "report.html";
  write_report({.runs = {scratch.path() / "zero", scratch.path() / "passing"},
                .output = output,
                .title = "A & B"});
  const std::string page = testing::read_all(output);
  EXPECT_NE(page.find("<h1>A &amp; B</h1>"), std::string::npos);
  EXPECT_NE(page.find("zero fails past the training length; passing holds."), std::string::npos);
  // Perplexity, state, training loss, gradient norm: each with a line in both arms' colours.
  EXPECT_EQ(count_of(page, "<figure>"), 4u);
  EXPECT_GE(count_of(page, "stroke='var(--arm-0)'"), 4u);
  EXPECT_GE(count_of(page, "stroke='var(--arm-1)'"), 4u);
  EXPECT_EQ(count_of(page, "trained to 128"), 2u);
  EXPECT_NE(page.find("<code>initial_<wbr>state.<wbr>source</code>"), std::string::npos);
  EXPECT_NE(page.find("<td class=\"beyond best\">● 7.389"), std::string::npos);
  EXPECT_EQ(page.find("What is missing"), std::string::npos);
  // Self-contained: nothing is fetched, nothing runs.
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<link"), std::string::npos);
  EXPECT_EQ(page.find("src="), std::string::npos);
  EXPECT_EQ(page.find("<?xml"), std::string::npos);
  std::set<std::string> ids;
  static const std::regex id("\\sid=['\"]([^'\"]+)['\"]");
  for (std::sregex_iterator match(page.begin(), page.end(), id), end; match != end; ++match) {
    EXPECT_TRUE(ids.insert((*match)[1]).second) << (*match)[1] << " is there twice";
  }
  EXPECT_GT(ids.size(), 4u);
  EXPECT_EQ(page.find("rgb("), std::string::npos) << "a colour that ignores the page's theme";
}

TEST(Report, HostileNamesAreOnlyText) {
  const testing::ScratchFolder scratch;
  const std::string name = "<script>alert(1)<'\"; system 'touch pwned' `id` $(id)";
  std::filesystem::create_directories(scratch.path() / name / "evaluation");
  write_curve(scratch.path() / name / "evaluation" / "<img src=x>.json", curve_that_grows(0));
  write_curve(scratch.path() / name / "evaluation" / "b.json", curve_that_grows(0));
  std::ofstream(scratch.path() / name / "run.yaml") << "a: <b>\n\"<i>\": 1\n";
  const auto output = scratch.path() / "report.html";
  write_report(
      {.runs = {scratch.path() / name}, .output = output, .title = "</title><script>x</script>"});
  const std::string page = testing::read_all(output);
  for (const char* tag : {"<script", "<img", "<b>", "<i>"}) {
    EXPECT_EQ(page.find(tag), std::string::npos) << tag;
  }
  EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;&#39;&quot;; system"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists("pwned"));
  EXPECT_NE(page.find("there is no metrics.jsonl"), std::string::npos);
}

TEST(Report, RunsOfOneNameAreToldApartByTheEndsOfTheirPaths) {
  const testing::ScratchFolder scratch;
  for (const char* name : {"x/first/run", "x/second/run", "y/second/run", "alone"}) {
    write_run(scratch, name, 0);
  }
  const auto output = scratch.path() / "report.html";
  write_report({.runs = {scratch.path() / "x/first/run", scratch.path() / "x/second/run/",
                         scratch.path() / "y/second/run", scratch.path() / "alone"},
                .output = output});
  const std::string page = testing::read_all(output);
  for (const char* name : {">first/run<", ">x/second/run<", ">y/second/run<", ">alone<"}) {
    EXPECT_NE(page.find(name), std::string::npos) << name;
  }
}

TEST(Report, WithoutStandardErrorsNothingIsWithinTwoOfTheBest) {
  const testing::ScratchFolder scratch;
  for (const char* name : {"a", "b"}) {
    PositionCurve curve = curve_that_grows(name == std::string("a") ? 0 : 0.001);
    curve.sequences = 1;
    for (Bucket& bucket : curve.buckets) bucket.loss_error = bucket.accuracy_error = std::nan("");
    std::filesystem::create_directories(scratch.path() / name / "evaluation");
    write_curve(scratch.path() / name / "evaluation/text.json", curve);
  }
  const auto output = scratch.path() / "report.html";
  write_report({.runs = {scratch.path() / "a", scratch.path() / "b"}, .output = output});
  const std::string page = testing::read_all(output);
  EXPECT_EQ(count_of(page, "○"), 1u) << "more than the legend";
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

TEST(Report, SingleNumbersAndLostNumbersStillMakePlots) {
  const testing::ScratchFolder scratch;
  scratch.write("a/metrics.jsonl", "{\"step\":1,\"loss\":\"NaN\",\"gradient_norm\":0}\n");
  std::filesystem::create_directories(scratch.path() / "a/evaluation");
  PositionCurve curve{.task = "recall", .length = 2, .sequences = 1};
  curve.buckets = log_buckets(2);
  curve.buckets[1].count = 1;
  curve.buckets[1].loss = 1;
  curve.states = {{.position = 1, .deviation = std::nan("")}, {.position = 2}};
  write_curve(scratch.path() / "a/evaluation/recall.json", curve);
  const auto output = scratch.path() / "report.html";
  write_report({.runs = {scratch.path() / "a"}, .output = output});
  EXPECT_NE(testing::read_all(output).find("</html>"), std::string::npos);
}

TEST(Report, ProblemsOfAllRunsAreReportedAndNothingIsWritten) {
  const testing::ScratchFolder scratch;
  const auto output = scratch.path() / "report.html";
  try {
    write_report({.runs = {scratch.path() / "x", scratch.path() / "y"}, .output = output});
    FAIL();
  } catch (const core::InputError& error) {
    EXPECT_EQ(error.problems().size(), 2u) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(output));
  EXPECT_THROW(write_report({.output = output}), core::InputError);
}

TEST(Report, WithoutGnuplotTheMessageSaysSo) {
  const testing::ScratchFolder scratch;
  write_run(scratch, "zero", 0);
  const std::string path = std::getenv("PATH");
  setenv("PATH", scratch.path().c_str(), 1);
  std::string what;
  try {
    write_report({.runs = {scratch.path() / "zero"}, .output = scratch.path() / "r.html"});
  } catch (const core::InputError& error) {
    what = error.what();
  }
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(what.find("gnuplot: not found"), 0u) << what;
}

TEST(Plot, PositionsHaveShortNames) {
  EXPECT_EQ(position_name(512), "512");
  EXPECT_EQ(position_name(8192), "8k");
  EXPECT_EQ(position_name(1 << 21), "2M");
  EXPECT_EQ(position_name(1000), "1000");
}

}  // namespace
}  // namespace longhaul::eval
