// Effective remembrance, states and the memory of heads in the report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/heat_map.h"
#include "eval/report.h"
#include "eval/report_effrem.h"
#include "eval/report_states.h"
#include "kernels/core/error.h"
#include "tests/eval/scratch_folder.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// `distance` where all but the last 64 tokens are left out, a tenth of it elsewhere.
EffRem effrem_of(double distance, double error = 0.01) {
  EffRem effrem{.model = "m",
                .read = "text",
                .length = 1024,
                .sequences = 4,
                .training_length = 64,
                .whole_documents = 9};
  for (int64_t t : effrem_grid(effrem.length)) {
    effrem.points.push_back(
        {.dropped = t, .distance = t == 960 ? distance : distance / 10, .error = error});
  }
  return effrem;
}

/// Heads of two layers with these memories; the deviation grows from 1 to `end`.
StateStatistics states_of(const std::vector<double>& memories, double end) {
  StateStatistics states{.model = "m",
                         .read = "recall",
                         .length = 256,
                         .sequences = 2,
                         .training_length = 64,
                         .positions = {64, 128, 256}};
  const MomentsByPosition moments{
      .mean = {0, 0.1, 0.2}, .deviation = {1, 2, end}, .norm = {3, 4, 5}};
  states.pooled = moments;
  states.deviation_error = {0.1, 0.1, 0.1};
  for (size_t i = 0; i < memories.size(); ++i) {
    states.heads.push_back({.layer = static_cast<int64_t>(i) % 2,
                            .head = static_cast<int64_t>(i) / 2,
                            .log_decay = -1 / memories[i],
                            .moments = moments});
  }
  return states;
}

TEST(EffRemFindings, ComparesAtTheTrainingLengthBeyondNoise) {
  const EffRem high = effrem_of(0.5), low = effrem_of(0.2), near = effrem_of(0.49);
  const auto clear = effrem_findings({.name = "", .arms = {&high, &low}}, {"a", "b"});
  EXPECT_EQ(clear[0],
            "what lies before the last training length weighs most in a (0.500 in total "
            "variation), least in b (0.200).");
  EXPECT_EQ(clear[1],
            "a: leaving out the first token of 1024 moves the prediction by 0.0500 ± 0.0100, all "
            "but the last 64 (its training length) by 0.5000 ± 0.0100.");
  const auto alike =
      effrem_findings({.name = "", .arms = {&high, nullptr, &near}}, {"a", "lacks it", "c"});
  EXPECT_EQ(alike[0],
            "by what lies before the last training length the arms are not told apart: 0.490 in "
            "c, 0.500 in a (one run each, by two standard errors).");
  EXPECT_EQ(alike.size(), 3u);
}

TEST(EffRemFindings, OneSequenceDecidesNothing) {
  const EffRem high = effrem_of(0.5, std::nan("")), low = effrem_of(0.2, std::nan(""));
  const auto found = effrem_findings({.name = "", .arms = {&high, &low}}, {"a", "b"});
  EXPECT_THAT(found[0], HasSubstr("whether arms differ is undecided"));
  EXPECT_THAT(found[1], HasSubstr("moves the prediction by 0.0500, all"));
}

TEST(EffRemFindings, NothingIsComparedThatIsNotKnown) {
  EffRem lost = effrem_of(std::nan("")), unknown = effrem_of(0.3);
  unknown.training_length = 0;
  const auto found = effrem_findings({.name = "", .arms = {&lost, &unknown}}, {"a", "b"});
  EXPECT_EQ(found[0], "in total variation, 0 to 1.");
  EXPECT_THAT(found[1], HasSubstr("by not finite"));
}

TEST(EffRemHtml, HasBothPlotsAndATable) {
  const EffRem high = effrem_of(0.5), low = effrem_of(0.2);
  const std::string html =
      effrem_html({.name = "books", .arms = {&high, &low}}, Figures({"<a>", "b"}), 0);
  EXPECT_THAT(html, HasSubstr("<h2>Effective remembrance: books</h2>"));
  EXPECT_EQ(count_of(html, "<figure>"), 2u);
  EXPECT_EQ(count_of(html, "trained to 64"), 1u);
  EXPECT_THAT(html, HasSubstr("each inside one document (9 are that long)"));
  EXPECT_THAT(html, HasSubstr("&lt;a&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<a>")));
  EXPECT_THAT(html, HasSubstr("last 8×<small>512 tokens"));
  EXPECT_THAT(html, HasSubstr("<td>0.050 ± 0.010</td>"));
}

TEST(StatesHtml, HasCurvesTableAndMaps) {
  const StateStatistics first = states_of({2, 4, 1000, 8}, 8), second = states_of({3, 5, 7, 9}, 1);
  const std::string html =
      states_html({.name = "", .arms = {&first, nullptr, &second}}, Figures({"a", "none", "c"}), 0);
  EXPECT_EQ(count_of(html, "<figure>"), 3u + 4u);  // curves, two maps of two arms
  EXPECT_THAT(html, HasSubstr("<td>4</td><td>2</td><td>6</td><td>1000</td><td>1</td><td>4</td>"
                              "<td>none</td>"));
  EXPECT_THAT(html, HasSubstr("<td>4</td><td>3</td><td>6</td><td>9</td><td>0</td><td>0</td>"));
  EXPECT_THAT(html, HasSubstr("<td colspan=\"7\">–</td>"));
  EXPECT_THAT(html, HasSubstr("<title>layer 0 head 1: 1000 tokens until 1/e</title>"));
  EXPECT_THAT(html, HasSubstr("<title>layer 1 head 1: 8 times that at the training length"));
}

TEST(StatesHtml, HeadsAreToldOfEachSeed) {
  StateStatistics first = states_of({2, 4, 1000, 8}, 8), second = states_of({3, 500, 7, 9}, 1);
  second.heads[1].moments.deviation.back() = std::nan("");
  StateStatistics mean = first;
  mean.heads.clear();
  mean.of_seeds = {{"seed-1", first}, {"seed-2", second}};
  const std::string html = states_html({.name = "", .arms = {&mean}}, Figures({"a"}), 0);
  EXPECT_THAT(html, HasSubstr("<td>4</td><td>2, 3</td><td>6, 8</td><td>1000, 500</td>"
                              "<td>1, 1</td><td>4, 0</td>"
                              "<td>seed-1: none<br>seed-2: layer 1 head 0 (nan)</td>"));
  EXPECT_THAT(html, HasSubstr("Of several seeds: the numbers of each, in their order."));
  EXPECT_THAT(html, HasSubstr("<figcaption>a, seed-1</figcaption>"));
  EXPECT_THAT(html, HasSubstr("<figcaption>a, seed-2</figcaption>"));
}

/// "That at the training length" is none where it was not measured: at 96 of 127 tokens a state
/// that still fills would count as growing.
TEST(StatesHtml, GrowthIsToldAtTheTrainingLengthAlone) {
  StateStatistics states = states_of({2, 4, 6, 8}, 8);
  states.training_length = 100;
  const auto html = [&] { return states_html({.name = "", .arms = {&states}}, Figures({"a"}), 0); };
  EXPECT_THAT(html(), HasSubstr("<td>8</td><td>0</td><td>–</td><td>none</td>"));
  EXPECT_THAT(html(), Not(HasSubstr("Growth of each head")));
  states.positions = {64, 100, 256};  // deviations 1, 2, 8
  EXPECT_THAT(html(), HasSubstr("<td>8</td><td>0</td><td>4</td><td>none</td>"));
  EXPECT_THAT(html(), HasSubstr("layer 1 head 1: 4 times that at the training length"));
}

TEST(EffRemHtml, HasAColumnForATrainingLengthThatIsNoPowerOfTwo) {
  EffRem arm = effrem_of(0.5);
  arm.training_length = 100;
  const auto html = [&] { return effrem_html({.name = "", .arms = {&arm}}, Figures({"a"}), 0); };
  EXPECT_THAT(html(), Not(HasSubstr("last 1×")));  // an older file
  arm.points.clear();
  for (int64_t t : effrem_grid(1024, 100)) arm.points.push_back({.dropped = t, .distance = 0.25});
  EXPECT_THAT(html(), HasSubstr("last 1×<small>100 tokens"));
  EXPECT_LT(html().find("128 tokens"), html().find("100 tokens"));
  EXPECT_LT(html().find("100 tokens"), html().find("<small>32 tokens"));
  EXPECT_THAT(effrem_findings({.name = "", .arms = {&arm}}, {"a"})[1],
              HasSubstr("all but the last 100 (its training length) by 0.2500"));
}

TEST(StatesHtml, AHeadThatNeverDecaysRemembersWithoutEnd) {
  StateStatistics states = states_of({2, 4, 6, 8}, 1);
  states.heads[3].log_decay = 0;
  const std::string html = states_html({.name = "", .arms = {&states}}, Figures({"a"}), 0);
  EXPECT_THAT(html, HasSubstr("<td>4</td><td>2</td><td>5</td><td>no end</td><td>1</td>"));
  EXPECT_THAT(html, HasSubstr("<title>layer 1 head 1: inf tokens until 1/e</title>"));
  EXPECT_THAT(html, Not(HasSubstr("-inf")));
}

/// As a Mamba-1's: layers, with what their elements remember.
StateStatistics layers_of(const std::vector<ElementMemory>& elements, double end) {
  StateStatistics states = states_of(std::vector<double>(elements.size(), 2.0), end);
  for (size_t i = 0; i < elements.size(); ++i) {
    states.heads[i].layer = static_cast<int64_t>(i);
    states.heads[i].head = 0;
    states.heads[i].elements = elements[i];
  }
  return states;
}

TEST(StatesHtml, LayersAreToldByTheirElements) {
  StateStatistics states = layers_of({{1, 30, 500, 0.25}, {3, 50, 4000, 0.125}}, 8);
  states.heads[1].moments.deviation.back() = std::nan("");
  const std::string html = states_html({.name = "", .arms = {&states}}, Figures({"a"}), 0);
  EXPECT_THAT(html, HasSubstr("<h3>Memory of the elements</h3>"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"col\">layers</th>"));
  EXPECT_THAT(html, HasSubstr("<td>2</td><td>1</td><td>40</td><td>4000</td><td>18.8 %</td>"
                              "<td>1</td><td>layer 1 (nan)</td>"));
  EXPECT_THAT(html, HasSubstr("Here every element of a layer's state has a decay of its own"));
  EXPECT_THAT(html, HasSubstr("<h3>Memory of each layer</h3>"));
  EXPECT_THAT(html, HasSubstr("<h3>Growth of each layer's deviation"));
  EXPECT_THAT(html, HasSubstr("<title>layer 1: 50 tokens until 1/e (median of its elements; "
                              "shortest 3, longest 4000)</title>"));
  EXPECT_THAT(html, HasSubstr("<title>layer 0: 8 times that at the training length</title>"));
  EXPECT_THAT(html.substr(html.find("Memory of the elements")), Not(HasSubstr("head<")));
  EXPECT_THAT(html, Not(HasSubstr("head 0")));
}

TEST(StatesHtml, HeadsAndLayersOfOneTableAreToldApart) {
  const StateStatistics heads = states_of({2, 4, 1000, 8}, 8),
                        layers = layers_of({{1, 30, 500, 0.25}, {3, 50, 4000, 0.125}}, 1);
  const std::string html =
      states_html({.name = "", .arms = {&heads, &layers}}, Figures({"a", "b"}), 0);
  EXPECT_THAT(html, HasSubstr("<h3>Memory of the heads and elements</h3>"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"col\">heads or layers</th>"));
  EXPECT_THAT(html, HasSubstr("<td>4 heads</td><td>2</td><td>6</td><td>1000</td><td>1</td>"));
  EXPECT_THAT(html, HasSubstr("<td>2 layers</td><td>1</td><td>40</td><td>4000</td><td>18.8 %</td>"
                              "<td>0</td><td>none</td>"));
  EXPECT_THAT(html, HasSubstr("Where layers are counted, every element"));
  EXPECT_THAT(html, HasSubstr("Outliers: heads or layers whose"));
  EXPECT_THAT(html, HasSubstr("<h3>Memory of each head or layer</h3>"));
  EXPECT_THAT(html, HasSubstr("<title>layer 0 head 1: 1000 tokens until 1/e</title>"));
  EXPECT_THAT(html, HasSubstr("<title>layer 0: 30 tokens until 1/e (median"));
  EXPECT_EQ(count_of(html, "aria-label=\"layer by head\""), 2u);
  EXPECT_EQ(count_of(html, "aria-label=\"layer\""), 2u);
}

TEST(StatesHtml, LostStatesAndNoTrainingLengthAreShownAsSuch) {
  StateStatistics lost = states_of({2, std::nan(""), 3, 4}, std::nan(""));
  lost.training_length = 0;
  const std::string html = states_html({.name = "", .arms = {&lost}}, Figures({"a"}), 0);
  EXPECT_THAT(html, HasSubstr("<rect class=\"lost\""));
  EXPECT_THAT(html, HasSubstr("not a number"));
  EXPECT_THAT(html, Not(HasSubstr("Growth of each head")));
}

TEST(HeatScale, IsLogarithmicOverAllMaps) {
  const HeatScale scale = scale_over(
      {{{.value = 1}, {.value = std::nan("")}},
       {{.value = 1024}, {.value = 0}, {.value = std::numeric_limits<double>::infinity()}}});
  EXPECT_EQ(scale.low, 1);
  EXPECT_EQ(scale.high, 1024);
  std::vector<int> colours;
  for (double value : {0.0, 1.0, 1.9, 2.1, 33.0, 1024.0, 1e9}) {
    colours.push_back(scale.colour(value));
  }
  EXPECT_THAT(colours, ElementsAre(0, 0, 0, 1, 5, 9, 9));
  EXPECT_EQ(scale.colour(std::numeric_limits<double>::infinity()), 9);
  EXPECT_EQ(scale.colour(std::nan("")), -1);
  EXPECT_EQ((HeatScale{.low = 5, .high = 5}.colour(5)), 0);
}

TEST(HeatMap, HasACellForEachHead) {
  std::vector<HeatCell> cells;
  for (int64_t i = 0; i < 6; ++i) {
    cells.push_back({.row = i / 3, .column = i % 3, .value = 1, .label = "<head>"});
  }
  const std::string svg = heat_map(cells, {.low = 1, .high = 2}, "layer", "head");
  EXPECT_THAT(svg, StartsWith("<svg class=\"heat\""));
  EXPECT_EQ(count_of(svg, "<rect class=\"heat-0\""), 6u);
  EXPECT_EQ(count_of(svg, "<title>&lt;head&gt;</title>"), 6u);
  EXPECT_EQ(heat_map({}, {}, "layer", "head"), "");
}

TEST(Report, ShowsTheNewMeasuresOfRunsThatHaveThem) {
  const testing::ScratchFolder scratch;
  for (const char* run : {"base", "passing"}) {
    std::filesystem::create_directories(scratch.path() / run / "evaluation");
  }
  write_effrem(scratch.path() / "base/evaluation/effrem.json", effrem_of(0.5));
  write_effrem(scratch.path() / "passing/evaluation/effrem-step-1.json", effrem_of(0.9));
  write_effrem(scratch.path() / "passing/evaluation/effrem-step-2.json", effrem_of(0.2));
  write_states(scratch.path() / "base/evaluation/states.json", states_of({2, 4}, 8));
  const auto output = scratch.path() / "report.html";
  write_report({.runs = {scratch.path() / "base", scratch.path() / "passing"}, .output = output});
  const std::string page = testing::read_all(output);
  EXPECT_THAT(page, HasSubstr("weighs most in base (0.500 in total variation), least in passing "
                              "(0.200)."));
  EXPECT_THAT(page, HasSubstr("<h2>States</h2>"));
  EXPECT_THAT(page, HasSubstr("No run has an evaluation by position"));
  EXPECT_EQ(page.find("rgb("), std::string::npos) << "a colour that ignores the page's theme";
}

}  // namespace
}  // namespace longhaul::eval
