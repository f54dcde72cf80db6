#include "eval/conditions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/perplexity.h"

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

}  // namespace
}  // namespace longhaul::eval
