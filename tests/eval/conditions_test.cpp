#include "eval/conditions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/token_folder.h"
#include "eval/perplexity.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Identity measured(const std::string& data, const std::string& tokens, const std::string& seed) {
  return {{"model", data + tokens}, {"tokens", tokens},      {"length", tokens}, {"seed", seed},
          {"batch", seed},          {"program", "longhaul"}, {"data", data}};
}

TEST(Unlike, NamesTheDataAndWhatElseDiffers) {
  const Unlike found = unlike({{measured("tok_1", "7", "1")}, {measured("tok_2", "8", "5")}});
  EXPECT_THAT(found.numbers, ElementsAre("data: tok_1 / tok_2", "seed: 1 / 5"));
  EXPECT_THAT(found.rounding, ElementsAre("batch: 1 / 5"));
  EXPECT_EQ(found.unknown, 0);
}

TEST(Unlike, OneFolderOfOtherTokensIsOtherDataAndAMovedOneIsNot) {
  EXPECT_THAT(unlike({{measured("tok", "7", "1")}, {measured("tok", "8", "1")}}).numbers,
              ElementsAre("tokens: 7 / 8"));
  EXPECT_THAT(unlike({{measured("tok", "7", "1")}, {measured("moved", "7", "1")}}).numbers,
              IsEmpty());
}

TEST(Unlike, ArmsOfSeedsMeasuredTheSameWayAreAlike) {
  const Identity one = measured("tok", "7", "1"), other = measured("tok", "7", "2");
  EXPECT_THAT(unlike({{one, other}, {one, other}}).numbers, IsEmpty());
  EXPECT_THAT(unlike({{one, other}, {one}}).numbers, ElementsAre("seed: 1, 2 / 1"));
}

TEST(Unlike, WhatOlderFilesDoNotSayIsToldAsUnknown) {
  const Unlike found = unlike({{measured("tok", "7", "1")}, {{}}});
  EXPECT_THAT(found.numbers, IsEmpty());
  EXPECT_EQ(found.unknown, 1);
  EXPECT_THAT(unlike_html({{measured("tok", "7", "1")}, {{}}}), HasSubstr("Of 1 of 2 arms"));
  EXPECT_EQ(unlike_html({{{}}}), "");
}

TEST(ConditionsHtml, SaysWhichArmsWereMeasuredOnWhatTheyWereTrainedOn) {
  PositionCurve unseen{.task = "text", .length = 64, .sequences = 2};
  unseen.measured = measured("tok", "7", "1");
  PositionCurve trained = unseen;
  trained.measured.emplace_back(kTrainedOn, "yes");
  const Conditions of_unseen = conditions_of(unseen, "text");
  const Conditions of_trained = conditions_of(trained, "text");
  EXPECT_THAT(conditions_html({of_unseen, of_unseen}), Not(HasSubstr("trained on")));
  EXPECT_THAT(conditions_html({of_trained, of_trained}),
              HasSubstr("Measured on the data that was trained on."));
  const std::string html = conditions_html({of_unseen, of_trained});
  EXPECT_THAT(html, HasSubstr("1 of 2 arms were measured on the data they were trained on."));
  EXPECT_THAT(html, Not(HasSubstr("not measured alike")));
}

TEST(ConditionsHtml, SaysThatArmsOfOneShapeReadOtherData) {
  PositionCurve first{.task = "text", .length = 64, .sequences = 2};
  PositionCurve second = first;
  first.measured = measured("<a>", "7", "1");
  second.measured = measured("b", "8", "1");
  const std::string html =
      conditions_html({conditions_of(first, "text"), conditions_of(second, "text")});
  EXPECT_THAT(html, HasSubstr("The arms were not measured alike: data: &lt;a&gt; / b."));
  EXPECT_THAT(conditions_html({conditions_of(first, "text"), conditions_of(first, "text")}),
              Not(HasSubstr("not measured alike")));
}

PositionCurve of_seeds(const std::vector<PositionCurve>& seeds) {
  PositionCurve mean = seeds.front();
  for (const PositionCurve& seed : seeds) {
    mean.of_seeds.push_back({"seed-" + std::to_string(mean.of_seeds.size() + 1), seed});
  }
  return mean;
}

TEST(ConditionsHtml, SaysThatSeedsOfAnArmWereNotMeasuredAlike) {
  PositionCurve few{.task = "text",
                    .length = 64,
                    .sequences = 4,
                    .whole_documents = 30,
                    .windows = "document",
                    .measured = measured("held_out", "7", "1")};
  PositionCurve many = few;
  many.sequences = 20;
  many.windows = "inside";
  many.measured = measured("training", "8", "9");
  const std::string html = conditions_html({conditions_of(of_seeds({few, many}), "text")});
  EXPECT_THAT(html, HasSubstr("mean over 2 seeds that were not measured alike (4 sequences of 64 "
                              "tokens, each inside one document (30 are that long) / 20 sequences "
                              "of 64 tokens, each from a random place inside"));
  EXPECT_THAT(html, HasSubstr(" Seeds of one arm were not measured alike: data: held_out / "
                              "training; seed: 1 / 9. Seeds of one arm differ in rounding alone by "
                              "batch: 1 / 9."));
  many.measured = {};
  EXPECT_THAT(conditions_html({conditions_of(of_seeds({few, many}), "text")}),
              HasSubstr("Of 1 of 2 seeds of an arm it is not known"));
}

TEST(ConditionsHtml, TellsOneDocumentFromBordersThatAreCrossed) {
  PositionCurve curve{.task = "text", .length = 64, .sequences = 6, .whole_documents = 1};
  const auto html = [&] { return conditions_html({conditions_of(curve, "text")}); };
  EXPECT_THAT(html(), HasSubstr("64 tokens, inside the only document that is that long."));
  EXPECT_THAT(format_table(curve), HasSubstr("1 document is that long: each sequence lies inside"));
  curve.inside_documents = false;
  EXPECT_THAT(html(), HasSubstr("across document borders: only 1 document is that long."));
  EXPECT_THAT(format_table(curve), HasSubstr("1 document is that long: sequences cross"));
  curve.whole_documents = 2;
  EXPECT_THAT(html(), HasSubstr("across document borders: only 2 documents are that long."));
}

/// Six windows of one document: its end is no border between them.
TEST(TextSequences, OfOneDocumentLieInsideIt) {
  const testing::ScratchFolder scratch;
  for (const int documents : {1, 2}) {
    const auto path = scratch.path() / std::to_string(documents);
    data::TokenFolderWriter writer(path,
                                   {.tokenizer = "byte", .vocabulary = 9, .end_of_document = 0});
    for (int i = 0; i < documents; ++i) writer.add_document(std::vector<int32_t>(99, 1));
    writer.finish();
    const data::TokenFolder folder(path);
    const Sequences found = text_sequences(folder, {.length = 10, .sequences = 6});
    EXPECT_EQ(found.count, 6);
    EXPECT_EQ(found.whole_documents, documents);
    EXPECT_EQ(found.inside_documents, documents == 1);
  }
}

TEST(ConditionsHtml, SeedsOfOneMeasurementHaveOtherModelsOnly) {
  PositionCurve first{.task = "recall", .length = 64, .sequences = 4};
  first.measured = {{"model", "1"}, {"seed", "1"}};
  PositionCurve second = first;
  second.measured[0].second = "2";
  EXPECT_EQ(conditions_html({conditions_of(of_seeds({first, second}), "recall")}),
            "<p class=\"soft\">4 sequences of 64 tokens, mean over 2 seeds.</p>\n");
}

}  // namespace
}  // namespace longhaul::eval
