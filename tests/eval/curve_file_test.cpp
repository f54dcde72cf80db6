#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/perplexity.h"
#include "kernels/core/error.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

PositionCurve some_curve() {
  PositionCurve curve{.task = "text",
                      .model = "base \"model\"",
                      .length = 3,
                      .sequences = 2,
                      .training_length = 2,
                      .whole_documents = int64_t{1} << 53,
                      .inside_documents = false,
                      .windows = "inside",
                      .sequences_asked = 5,
                      .measured = {{"seed", "7"}, {"data", "a \"b\""}},
                      .loss = 0.1 + 0.2,
                      .perplexity = 1e300,
                      .accuracy = 0};
  curve.buckets = log_buckets(3);
  curve.buckets[0] = {0, 1, (int64_t{1} << 53) + 1, 1.0 / 3, 1e-17, 0.25, 0.125};
  curve.buckets[1].count = 2;
  curve.buckets[1].loss = std::numeric_limits<double>::quiet_NaN();
  curve.buckets[2].count = 2;
  curve.buckets[2].loss = std::numeric_limits<double>::infinity();
  curve.states = {{1, -0.5, 2, 3, {1.5, 2.5}}, {3, 0, 0, 0, {}}};
  return curve;
}

std::string what_of(const std::filesystem::path& file) {
  try {
    read_curve(file);
  } catch (const core::InputError& error) {
    return error.what();
  }
  return "";
}

TEST(CurveFile, ComesBackExactly) {
  const testing::ScratchFolder scratch;
  const auto file = scratch.path() / "curve.json";
  const PositionCurve before = some_curve();
  write_curve(file, before);
  write_curve(file, before);  // replaces
  const PositionCurve after = read_curve(file);
  EXPECT_EQ(after.task, before.task);
  EXPECT_EQ(after.model, before.model);
  EXPECT_EQ(after.length, before.length);
  EXPECT_EQ(after.sequences, before.sequences);
  EXPECT_EQ(after.training_length, before.training_length);
  EXPECT_EQ(after.whole_documents, before.whole_documents);
  EXPECT_EQ(after.inside_documents, before.inside_documents);
  EXPECT_EQ(after.windows, before.windows);
  EXPECT_EQ(after.sequences_asked, 5);
  EXPECT_EQ(after.measured, before.measured);
  EXPECT_EQ(after.loss, before.loss);
  EXPECT_EQ(after.perplexity, before.perplexity);
  ASSERT_EQ(after.buckets.size(), 3u);
  EXPECT_EQ(after.buckets[0].count, before.buckets[0].count);
  EXPECT_EQ(after.buckets[0].loss, before.buckets[0].loss);
  EXPECT_EQ(after.buckets[0].loss_error, before.buckets[0].loss_error);
  EXPECT_EQ(after.buckets[0].accuracy, before.buckets[0].accuracy);
  EXPECT_EQ(after.buckets[0].accuracy_error, before.buckets[0].accuracy_error);
  EXPECT_TRUE(std::isnan(after.buckets[1].loss));
  EXPECT_TRUE(std::isinf(after.buckets[2].loss));
  ASSERT_EQ(after.states.size(), 2u);
  EXPECT_EQ(after.states[0].position, 1);
  EXPECT_EQ(after.states[0].mean, -0.5);
  EXPECT_EQ(after.states[0].deviation, 2);
  EXPECT_EQ(after.states[0].norm, 3);
  EXPECT_EQ(after.states[0].layer_deviation, (std::vector<double>{1.5, 2.5}));
}

TEST(CurveFile, OneSequenceHasNoStandardError) {
  const testing::ScratchFolder scratch;
  const auto file = scratch.path() / "curve.json";
  PositionCurve curve = some_curve();
  curve.sequences = 1;
  for (Bucket& bucket : curve.buckets) {
    bucket.loss_error = bucket.accuracy_error = std::nan("");
  }
  curve.states[0].deviation_error = curve.states[1].deviation_error = std::nan("");
  write_curve(file, curve);
  EXPECT_EQ(testing::read_all(file).find("_error"), std::string::npos);
  const PositionCurve found = read_curve(file);
  EXPECT_TRUE(std::isnan(found.buckets[0].loss_error));
  EXPECT_TRUE(std::isnan(found.buckets[0].accuracy_error));
  EXPECT_TRUE(std::isnan(found.states[0].deviation_error));
  EXPECT_NE(format_table(found).find("0.3333        -"), std::string::npos) << format_table(found);
  const std::string older = R"({"format_version":1,"task":"text","length":1,"sequences":1,
      "buckets":[{"end":1,"count":1,"loss":1,"loss_error":0}]})";
  EXPECT_TRUE(std::isnan(read_curve(scratch.write("o.json", older)).buckets[0].loss_error));
}

TEST(CurveFile, WhatHasNoLabelHasNoNumbers) {
  const testing::ScratchFolder scratch;
  const auto file = scratch.path() / "curve.json";
  PositionCurve curve = some_curve();
  for (Bucket& bucket : curve.buckets) bucket.count = 0;
  curve.loss = curve.perplexity = curve.accuracy = std::nan("");
  write_curve(file, curve);
  const std::string text = testing::read_all(file);
  EXPECT_NE(text.find("\"count\": \"0\""), std::string::npos) << text;
  for (const char* name : {"\"loss\"", "\"accuracy\"", "\"perplexity\""}) {
    EXPECT_EQ(text.find(name), std::string::npos) << text;
  }
  const PositionCurve found = read_curve(file);
  EXPECT_EQ(found.buckets[1].count, 0);
  EXPECT_TRUE(std::isnan(found.loss));
  EXPECT_NE(format_table(found).find("no label is among them"), std::string::npos);
  curve.buckets[0] = {0, 1, 2, 0, 0, 0, 0};
  write_curve(file, curve);
  EXPECT_NE(testing::read_all(file).find("\"loss\": 0,"), std::string::npos) << "measured zeros";
}

TEST(CurveTable, SaysThatSequencesAreFewerThanAskedFor) {
  PositionCurve curve = some_curve();
  const std::string line = "5 sequences were asked for: only 2 fit without overlap\n";
  EXPECT_NE(format_table(curve).find(line), std::string::npos);
  for (const int64_t asked : {0, 2}) {
    curve.sequences_asked = asked;
    EXPECT_EQ(format_table(curve).find("asked"), std::string::npos);
  }
}

TEST(CurveFile, SaysWhatIsWrong) {
  const testing::ScratchFolder scratch;
  EXPECT_NE(what_of(scratch.path() / "none.json").find("none.json"), std::string::npos);
  const std::string cut = what_of(scratch.write("a.json", "{\"task\":\n"));
  EXPECT_NE(cut.find("a.json: not an evaluation: not valid JSON: parse error at line 2, column 1"),
            std::string::npos)
      << cut;
  EXPECT_EQ(cut.find('\n'), std::string::npos) << "one line: " << cut;
  EXPECT_NE(what_of(scratch.write("b.json", "{}")).find("format_version is 0"), std::string::npos);
  EXPECT_NE(what_of(scratch.write("c.json", R"({"format_version":1,"task":"text"})"))
                .find("has no buckets"),
            std::string::npos);
  const std::string hole = R"({"format_version":1,"task":"text","length":4,"buckets":[
      {"begin":0,"end":1},{"begin":2,"end":4}]})";
  EXPECT_NE(what_of(scratch.write("d.json", hole)).find("does not continue at position 1"),
            std::string::npos);
  const std::string task = R"({"format_version":1,"task":"<b>","length":1,"buckets":[{"end":1}]})";
  EXPECT_NE(what_of(scratch.write("e.json", task)).find("task is '<b>'"), std::string::npos);
  const std::string later = R"({"format_version":1,"task":"text","length":1,"new_field":3,
      "buckets":[{"end":1}]})";
  EXPECT_EQ(what_of(scratch.write("f.json", later)), "");
}

TEST(CurveTable, MarksTheTrainingLengthAndEmptyBuckets) {
  PositionCurve curve = some_curve();
  curve.buckets[1].loss = std::log(8.0);
  curve.buckets[2].count = 0;
  const std::string table = format_table(curve);
  EXPECT_NE(table.find("past the training length, 2"), std::string::npos) << table;
  EXPECT_LT(table.find(" 8 "), table.find("past the training length")) << table;
  EXPECT_NE(table.find("cross document borders"), std::string::npos) << table;
  EXPECT_NE(table.find("0        -        -"), std::string::npos) << table;
}

}  // namespace
}  // namespace longhaul::eval
