// What a plot shows, read from its SVG.
#include "eval/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <regex>
#include <string>
#include <vector>

#include "eval/figure.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::vector<std::string> all_of(const std::string& svg, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator at(svg.begin(), svg.end(), expression), end; at != end; ++at) {
    found.push_back((*at)[at->size() - 1]);
  }
  return found;
}

std::vector<std::string> dots(const std::string& svg) {
  return all_of(svg, "<use xlink:href='(#[^']*)'");
}

/// Labels of the y axis, from below.
std::vector<double> y_labels(const std::string& svg) {
  std::vector<double> labels;
  for (const std::string& text :
       all_of(svg, "text-anchor=\"end\">\\s*<text>(?:<!.CDATA.)? *([-+.0-9e]+)")) {
    labels.push_back(std::stod(text));
  }
  return labels;
}

/// Highest and lowest end of what is filled in an arm's colour: top and bottom in the picture.
std::pair<double, double> band(const std::string& svg) {
  std::vector<double> heights;
  for (const std::string& points : all_of(svg, "<polygon fill ?= ?'var[^>]*points ?= ?'([^']*)'")) {
    for (const std::string& y : all_of(points, ",([.0-9]+)")) heights.push_back(std::stod(y));
  }
  if (heights.empty()) return {-1, -1};
  const auto [top, bottom] = std::minmax_element(heights.begin(), heights.end());
  return {*top, *bottom};
}

Plot accuracy(std::vector<PlotPoint> points) {
  return {.name = "a",
          .x_label = "tokens",
          .over_positions = true,
          .least = 0,
          .most = 100,
          .marks = {},
          .lines = {{.arm = 0, .points = std::move(points)}}};
}

Plot sweep(std::vector<PlotPoint> points) {
  return {.name = "k0",
          .x_label = "optimizer.rate",
          .as_points = true,
          .marks = {},
          .lines = {{.arm = 2, .points = std::move(points)}}};
}

TEST(Plot, DotsAreDefinedWhereTheyAreUsed) {
  const std::string svg = draw(sweep({{.x = 1, .y = 2, .error = 0.5}, {.x = 2, .y = 3}}));
  EXPECT_THAT(dots(svg), ElementsAre("#k0dot", "#k0dot"));
  EXPECT_THAT(all_of(svg, " id='(k0dot)'"), SizeIs(1));
  EXPECT_THAT(all_of(svg, "<use [^>]*color='(var\\(--arm-2\\))'"), SizeIs(2));
  EXPECT_THAT(svg, Not(HasSubstr("white")));
}

TEST(Plot, ErrorBarsLieWithinTheAxes) {
  EXPECT_GE(y_labels(draw(sweep({{.x = 1, .y = 2, .error = 8}, {.x = 2, .y = 3}}))).back(), 10);
  EXPECT_LE(y_labels(draw(sweep({{.x = 1, .y = 2, .error = 8}, {.x = 2, .y = 3}}))).front(), -6);
}

TEST(Plot, BandsLieWithinTheAxes) {
  const std::string svg =
      draw(accuracy({{.x = 512, .y = 0, .error = 39}, {.x = 1024, .y = 0, .error = 39}}));
  EXPECT_GE(y_labels(svg).back(), 35);
  const auto [top, bottom] = band(svg);
  EXPECT_GT(top, 5 + 0.6 * 21);  // beneath the upper end of the axis
}

TEST(Plot, SharesStayBetween0And100) {
  const std::string svg =
      draw(accuracy({{.x = 512, .y = 98, .error = 9}, {.x = 1024, .y = 3, .error = 9}}));
  EXPECT_EQ(y_labels(svg).front(), 0);
  EXPECT_EQ(y_labels(svg).back(), 100);
  const std::string flat = draw(accuracy({{.x = 512, .y = 100}, {.x = 1024, .y = 100}}));
  EXPECT_EQ(y_labels(flat).back(), 100);
  EXPECT_LE(y_labels(flat).front(), 96);
}

TEST(Plot, ABandDownTo0KeepsALogarithmicAxis) {
  Plot plot = accuracy({{.x = 512, .y = 1, .error = 2}, {.x = 1024, .y = 8, .error = 1}});
  plot.least = -1;
  plot.wide_range_is_log = true;
  const std::vector<double> labels = y_labels(draw(plot));
  EXPECT_EQ(labels.front(), 1);
  EXPECT_EQ(labels.back(), 5);
}

TEST(Plot, RatesAreShortOnALogarithmicAxis) {
  Plot plot = sweep({{.x = 1e-6, .y = 2}, {.x = 1e-3, .y = 3}});
  plot.x_is_log = true;
  EXPECT_THAT(all_of(draw(plot), "<text>(?:<!.CDATA.)?(1e-06|0.001)<"), SizeIs(2));
}

TEST(Plot, WhatNoLineJoinsIsADot) {
  const double gap = std::nan("");
  EXPECT_THAT(dots(draw(accuracy({{.x = 300, .y = 40}}))), SizeIs(1));
  EXPECT_THAT(dots(draw(accuracy({{.x = 300, .y = 40}, {.x = 600, .y = 50}}))), SizeIs(0));
  EXPECT_THAT(dots(draw(accuracy({{.x = 300, .y = 40},
                                  {.x = 600, .y = 50},
                                  {.x = 900, .y = gap},
                                  {.x = 1200, .y = 50},
                                  {.x = 1500, .y = gap}}))),
              SizeIs(1));
  // Its band is a bar.
  const std::string svg = draw(accuracy({{.x = 300, .y = 40, .error = 10}}));
  EXPECT_THAT(all_of(svg, "<path stroke='(var\\(--arm-0\\))'"), Not(IsEmpty()));
  EXPECT_THAT(band(svg).first, -1);
}

TEST(Plot, PositionsAreLabelledUpToTheLast) {
  const std::string svg = draw(accuracy({{.x = 8192, .y = 0}, {.x = 65536, .y = 1}}));
  EXPECT_THAT(all_of(svg, "<text>(?:<!.CDATA.)?([0-9]+k)"), ElementsAre("8k", "16k", "32k", "64k"));
}

TEST(Plot, ALonePositionHasLabelsOnBothSides) {
  const std::string svg = draw(accuracy({{.x = 300, .y = 40}}));
  EXPECT_THAT(all_of(svg, "<text>(?:<!.CDATA.)?(256|512)"), ElementsAre("256", "512"));
  Plot letters = accuracy({{.x = 1, .y = 40}});
  letters.over_positions = false;
  EXPECT_THAT(draw(letters), HasSubstr(">tokens<"));
}

struct Label {
  double x = 0, y = 0;
  std::string anchor;
  double begin() const {
    return anchor == "start" ? x : anchor == "end" ? x - kWidth : x - kWidth / 2;
  }
  static constexpr double kWidth = 7 * 15;
};

std::vector<Label> mark_labels(const std::string& svg) {
  std::vector<Label> labels;
  const std::regex pattern(
      "translate\\(([.0-9]+),([.0-9]+)\\)\"[^>]*text-anchor=\"([a-z]+)\">\\s*"
      "<text>(?:<!.CDATA.)?trained to");
  for (std::sregex_iterator at(svg.begin(), svg.end(), pattern), end; at != end; ++at) {
    labels.push_back({std::stod((*at)[1]), std::stod((*at)[2]), (*at)[3]});
  }
  return labels;
}

TEST(Plot, MarksMeetNeitherTicksNorEachOther) {
  Plot plot = accuracy({{.x = 256, .y = 0}, {.x = 65536, .y = 100}});
  plot.marks = {256, 512, 1024, 4096, 65536, 1 << 20};
  const std::vector<Label> labels = mark_labels(draw(plot));
  ASSERT_EQ(labels.size(), 5u);  // one is out of the axis
  EXPECT_GE(labels.front().begin(), 80) << "over the labels of the y axis";
  EXPECT_LE(labels.back().begin() + Label::kWidth, 760) << "out of the picture";
  for (size_t i = 0; i < labels.size(); ++i) {
    EXPECT_GT(labels[i].y, 14);
    for (size_t j = 0; j < i; ++j) {
      const bool is_beside = std::abs(labels[i].begin() - labels[j].begin()) >= Label::kWidth;
      const bool is_above = std::abs(labels[i].y - labels[j].y) >= 19;
      EXPECT_TRUE(is_beside || is_above) << i << " " << j;
    }
  }
}

TEST(Plot, AFileOfItsOwnHasItsDots) {
  const std::string html = Figures({"one"}).figure(accuracy({{.x = 300, .y = 40}}), "t", "c");
  EXPECT_THAT(html, HasSubstr("id='adot'"));
}

}  // namespace
}  // namespace longhaul::eval
