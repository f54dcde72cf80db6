// Conditions of a sweep: against values worked out by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "kernels/core/error.h"
#include "launch/sweep/constraint.h"

namespace longhaul::launch {
namespace {

using ::testing::HasSubstr;

Constraint::Value lookup(const std::string& key) {
  static const std::map<std::string, Constraint::Value> values{{"a.two", 2.0},
                                                               {"a.half", 0.5},
                                                               {"a.on", true},
                                                               {"a.source", std::string("tbtt")},
                                                               {"a.path", std::string("runs/x.y")}};
  const auto found = values.find(key);
  if (found == values.end()) throw core::InputError(key + " is no key");
  return found->second;
}

bool holds(const std::string& text) { return Constraint(text).holds(lookup); }

std::string problem(const std::string& text) {
  try {
    holds(text);
  } catch (const core::InputError& error) {
    return error.what();
  }
  return "";
}

TEST(SweepConstraint, Comparisons) {
  EXPECT_TRUE(holds("a.two == 2"));
  EXPECT_TRUE(holds("a.two != 2.5"));
  EXPECT_FALSE(holds("a.two < 2"));
  EXPECT_TRUE(holds("a.two <= 2"));
  EXPECT_TRUE(holds("a.two >= 2"));
  EXPECT_FALSE(holds("a.two > 2e0"));
  EXPECT_TRUE(holds("a.source == tbtt"));
  EXPECT_TRUE(holds("a.source != 'zero'"));
  EXPECT_TRUE(holds("a.path == \"runs/x.y\""));
  EXPECT_TRUE(holds("a.on"));
  EXPECT_FALSE(holds("a.on == false"));
}

TEST(SweepConstraint, ArithmeticBindsAsUsual) {
  EXPECT_TRUE(holds("1 + a.two * 3 == 7"));
  EXPECT_TRUE(holds("(1 + a.two) * 3 == 9"));
  EXPECT_TRUE(holds("8 / a.two / 2 == 2"));
  EXPECT_TRUE(holds("5 - 2 - 1 == 2"));
  EXPECT_TRUE(holds("-a.two < -1.5"));
  EXPECT_TRUE(holds(".5 == a.half"));
}

TEST(SweepConstraint, LogicBindsAsUsual) {
  EXPECT_TRUE(holds("a.two == 2 or a.two == 3 and a.two == 4"));
  EXPECT_FALSE(holds("(a.two == 2 or a.two == 3) and a.two == 4"));
  EXPECT_TRUE(holds("not a.two == 3 and not not a.on"));
  EXPECT_FALSE(holds("not (a.on or a.two == 3)"));
}

TEST(SweepConstraint, WhatIsNoneIsNamed) {
  EXPECT_THAT(problem("a.two =! 2"), HasSubstr("found '='"));
  EXPECT_THAT(problem("a.two == 'x"), HasSubstr("open quotes"));
  EXPECT_THAT(problem("a.two =="), HasSubstr("ends too early"));
  EXPECT_THAT(problem("(a.two == 2"), HasSubstr("parenthesis"));
  EXPECT_THAT(problem("a.two == 2 2"), HasSubstr("after the end"));
  EXPECT_THAT(problem("a.two == tbtt"), HasSubstr("two kinds"));
  EXPECT_THAT(problem("a.source < 2"), HasSubstr("expected numbers"));
  EXPECT_THAT(problem("a.two"), HasSubstr("expected a condition"));
  EXPECT_THAT(problem("a.three == 2"), HasSubstr("a.three is no key"));
  EXPECT_THAT(problem("1e999 > 1"), HasSubstr("too large"));
  EXPECT_THAT(problem(""), HasSubstr("ends too early"));
  EXPECT_THAT(problem("a.on and"), HasSubstr("ends too early"));
  EXPECT_THAT(problem(std::string(999, '(')), HasSubstr("ends too early"));
  // The right side is looked at even where the left one decides.
  EXPECT_THAT(problem("a.on or a.three == 1"), HasSubstr("a.three is no key"));
}

}  // namespace
}  // namespace longhaul::launch
