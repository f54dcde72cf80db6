// Configurations as people and fuzzers write them: everything that is wrong is told at once, with
// its line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "launch/run_config.h"

namespace longhaul::launch {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> problems_of(const std::string& yaml,
                                     const std::vector<std::string>& overrides = {}) {
  try {
    parse_run_config(yaml, "run.yaml", overrides);
  } catch (const core::InputError& error) {
    return error.problems();
  }
  return {};
}

// Valid as it stands; `more` is added as further lines.
std::string valid(const std::string& more = "") {
  return "model: {from: base}\ndata: {folder: tokens}\nrun: {folder: out}\n" + more;
}

TEST(YamlHostile, ValidTextHasNoProblems) { EXPECT_THAT(problems_of(valid()), ElementsAre()); }

TEST(YamlHostile, AllProblemsTogetherInOrderOfLines) {
  const std::string yaml =
      "model:\n"             // 1
      "  shape:\n"           // 2
      "    layers: 0\n"      // 3
      "    haeds: 3\n"       // 4
      "optimizer:\n"         // 5
      "  rate: fast\n"       // 6
      "  rate: 1e-3\n"       // 7
      "data:\n"              // 8
      "  length: 010\n"      // 9
      "  recompute: yes\n"   // 10
      "  folder: tokens\n"   // 11
      "schedule:\n"          // 12
      "  kind: cosin\n"      // 13
      "run:\n"               // 14
      "  folder: [a, b]\n";  // 15
  EXPECT_THAT(
      problems_of(yaml, {"parallel.sequence=none"}),
      ElementsAre("run.yaml:3: model.shape.layers: must be at least 1, is 0",
                  "run.yaml:4: model.shape.haeds: unknown key (did you mean heads?)",
                  "run.yaml:6: optimizer.rate: found 'fast', expected a number (decimal, no "
                  "leading zeros)",
                  "run.yaml:7: optimizer.rate: is given twice (first on line 6)",
                  "run.yaml:9: data.length: found '010', expected a whole number (decimal, "
                  "no leading zeros)",
                  "run.yaml:10: data.recompute: found 'yes', expected true or false",
                  "run.yaml:13: schedule.kind: found 'cosin', expected constant | cosine | "
                  "wsd (did you mean cosine?)",
                  "run.yaml:15: run.folder: found a list, expected a text",
                  "command line: parallel.sequence: found 'none', expected a whole number "
                  "(decimal, no leading zeros)"));
}

TEST(YamlHostile, EmptyFileNamesWhatARunCannotDoWithout) {
  for (const char* yaml : {"", "   \n\n", "# only a comment\n", "---\n", "~\n"}) {
    EXPECT_THAT(problems_of(yaml), ElementsAre(StartsWith("run.yaml: model: neither"),
                                               StartsWith("run.yaml: data.folder: is not given"),
                                               StartsWith("run.yaml: run.folder: is not given")))
        << yaml;
  }
}

TEST(YamlHostile, AKeyOfAnotherSectionIsPointedThere) {
  EXPECT_THAT(problems_of(valid("steps: 5\n")),
              ElementsAre("run.yaml:4: steps: unknown key (did you mean schedule.steps?)"));
}

TEST(YamlHostile, AnUnknownKeyLikeNothingGetsNoSuggestion) {
  EXPECT_THAT(problems_of(valid("quxquxqux: 5\n")),
              ElementsAre("run.yaml:4: quxquxqux: unknown key"));
}

TEST(YamlHostile, SectionsAndValuesAreNotExchanged) {
  EXPECT_THAT(
      problems_of(valid("optimizer: 3\n")),
      ElementsAre("run.yaml:4: optimizer: found '3', expected a section (key: value lines)"));
  EXPECT_THAT(problems_of(valid("optimizer: {rate: {a: 1}}\n")),
              ElementsAre(HasSubstr("optimizer.rate: found a section, expected a number")));
  EXPECT_THAT(problems_of("- a\n- b\n"),
              Contains(HasSubstr("run.yaml:1: found a list, expected a section")));
  EXPECT_THAT(problems_of(valid("optimizer:\n")), ElementsAre());  // an empty section
  EXPECT_THAT(problems_of(valid("optimizer: {rate: }\n")), ElementsAre(HasSubstr("found nothing")));
}

struct Scalar {
  const char* name;
  const char* key;
  const char* text;
  bool accepted;
};
void PrintTo(const Scalar& scalar, std::ostream* out) { *out << scalar.key << ": " << scalar.text; }
class StrictScalars : public ::testing::TestWithParam<Scalar> {};

TEST_P(StrictScalars, FileAndCommandLineAgree) {
  const Scalar& scalar = GetParam();
  const std::string key = scalar.key;
  const auto dot = key.find('.');
  const std::string line =
      key.substr(0, dot) + ": {" + key.substr(dot + 1) + ": " + scalar.text + "}\n";
  EXPECT_EQ(problems_of(valid(line)).empty(), scalar.accepted) << line;
  EXPECT_EQ(problems_of(valid(), {key + "=" + scalar.text}).empty(), scalar.accepted) << line;
}

INSTANTIATE_TEST_SUITE_P(
    Launch, StrictScalars,
    ::testing::Values(Scalar{"whole", "schedule.steps", "60", true},
                      Scalar{"octal", "schedule.steps", "0100", false},
                      Scalar{"hexadecimal", "schedule.steps", "0x80", false},
                      Scalar{"plus_sign", "schedule.steps", "+60", false},
                      Scalar{"point", "schedule.steps", "60.0", false},
                      Scalar{"exponent_of_whole", "schedule.steps", "1e3", false},
                      Scalar{"underscore", "schedule.steps", "1_000", false},
                      Scalar{"quoted_number", "schedule.steps", "\"60\"", false},
                      Scalar{"beyond_64_bits", "schedule.steps", "9223372036854775808", false},
                      Scalar{"largest", "checkpoint.every", "9223372036854775807", true},
                      Scalar{"negative_zero", "checkpoint.every", "-0", true},
                      Scalar{"decimal", "optimizer.rate", "0.5", true},
                      Scalar{"point_first", "optimizer.rate", ".5", true},
                      Scalar{"point_last", "optimizer.rate", "5.", true},
                      Scalar{"exponent", "optimizer.rate", "3e-3", true},
                      Scalar{"leading_zero", "optimizer.rate", "00.5", false},
                      Scalar{"lone_point", "optimizer.rate", ".", false},
                      Scalar{"lone_exponent", "optimizer.rate", "1e", false},
                      Scalar{"not_a_number", "optimizer.rate", ".nan", false},
                      Scalar{"word_nan", "optimizer.rate", "nan", false},
                      Scalar{"infinite_rate", "optimizer.rate", ".inf", false},
                      Scalar{"beyond_double", "optimizer.rate", "1e999", false},
                      Scalar{"true_word", "initial_state.permute", "true", true},
                      Scalar{"yes_word", "initial_state.permute", "yes", false},
                      Scalar{"capital", "initial_state.permute", "True", false},
                      Scalar{"number_as_truth", "initial_state.permute", "1", false},
                      Scalar{"name", "schedule.kind", "wsd", true},
                      Scalar{"name_of_other_case", "schedule.kind", "WSD", false},
                      Scalar{"negative_floor", "schedule.floor", "-0.1", false},
                      Scalar{"floor_above", "schedule.floor", "1.5", false}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(YamlHostile, DuplicateSectionsAreReported) {
  EXPECT_THAT(problems_of(valid("data: {length: 64}\n")),
              ElementsAre("run.yaml:4: data: is given twice (first on line 2)"));
}

TEST(YamlHostile, NotYaml) {
  EXPECT_THAT(problems_of("model: [1, 2\n"), ElementsAre(HasSubstr("is not YAML")));
  EXPECT_THAT(problems_of("a: b: c\n"), ElementsAre(StartsWith("run.yaml:1: is not YAML")));
  EXPECT_THAT(problems_of(valid() + "\t- x: [\n"), ElementsAre(HasSubstr("is not YAML")));
}

TEST(YamlHostile, NotUtf8) {
  EXPECT_THAT(problems_of("model:\n  from: \"\xff\xfe\"\n"),
              ElementsAre(StartsWith("run.yaml:2: byte 16 is not UTF-8")));
  EXPECT_THAT(problems_of(std::string("model:\0x", 8)), ElementsAre(HasSubstr("not UTF-8")));
  EXPECT_THAT(problems_of("a: \xc0\x80"), ElementsAre(HasSubstr("not UTF-8")));      // overlong
  EXPECT_THAT(problems_of("a: \xed\xa0\x80"), ElementsAre(HasSubstr("not UTF-8")));  // surrogate
  EXPECT_THAT(problems_of("a: \xe2\x82"), ElementsAre(HasSubstr("not UTF-8")));      // cut off
  EXPECT_THAT(problems_of(valid(), {"run.folder=\xff"}), ElementsAre(HasSubstr("not UTF-8")));
  EXPECT_THAT(problems_of("model: {from: größe→𝛼}\ndata: {folder: t}\nrun: {folder: o}\n"),
              ElementsAre());
}

TEST(YamlHostile, TooLarge) {
  EXPECT_THAT(
      problems_of(valid(std::string((1 << 20) + 1, '#'))),
      ElementsAre("run.yaml: is larger than the 1048576 bytes that a configuration may have"));
}

TEST(YamlHostile, TooDeep) {
  EXPECT_THAT(problems_of(std::string(100, '[')), ElementsAre(HasSubstr("deeper than 32 levels")));
  EXPECT_THAT(problems_of(std::string(100000, '[')), ElementsAre(HasSubstr("run.yaml")));
  std::string nested;
  for (int level = 0; level < 100; ++level) nested += std::string(level, ' ') + "a:\n";
  EXPECT_THAT(problems_of(nested), ElementsAre(HasSubstr("deeper than 32 levels")));
}

TEST(YamlHostile, AliasesAreAllowed) {
  const auto config = parse_run_config(
      "model: {from: base}\ndata: {folder: tokens, length: &n 96, sequences: *n}\nrun: {folder: "
      "o}\n",
      "run.yaml");
  EXPECT_EQ(config.data.batch.length, 96);
  EXPECT_EQ(config.data.batch.sequences, 96);
}

// 10^9 elements if the aliases were multiplied out.
TEST(YamlHostile, AliasBombCostsNothing) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string name = "a" + std::to_string(i), before = "*a" + std::to_string(i - 1);
    bomb += name + ": &" + name + " [";
    for (int j = 0; j < 10; ++j) bomb += (j > 0 ? ", " : "") + before;
    bomb += "]\n";
  }
  EXPECT_EQ(problems_of(valid(bomb)).size(), 9u);  // nine unknown keys
}

TEST(YamlHostile, AliasInsideItsOwnAnchor) {
  EXPECT_THAT(
      problems_of("model: &m {from: base, shape: *m}\ndata: {folder: t}\nrun: {folder: o}\n"),
      Contains(HasSubstr("run.yaml:1: model.shape: found an alias that contains itself")));
  EXPECT_THAT(problems_of("a: *nowhere\n"), ElementsAre(HasSubstr("run.yaml:1")));
}

TEST(YamlHostile, TagsStrangeKeysAndSeveralDocuments) {
  EXPECT_THAT(problems_of(valid("schedule: {steps: !!int 60}\n")),
              ElementsAre(HasSubstr("run.yaml:4: schedule.steps: found the tag")));
  EXPECT_THAT(problems_of(valid("? [a, b]\n: 3\n")),
              ElementsAre("run.yaml:4: found a key that is no name"));
  EXPECT_THAT(problems_of(valid("---\nmodel: {from: other}\n")),
              ElementsAre("run.yaml: holds several YAML documents, expected one"));
}

TEST(YamlHostile, VeryLongKeysAndValuesAreClipped) {
  const auto problems = problems_of(
      valid(std::string(900, 'k') + ": 1\nschedule: {steps: " + std::string(5000, '7') + "}\n"));
  ASSERT_EQ(problems.size(), 2u);
  for (const auto& problem : problems) EXPECT_LT(problem.size(), 250u);
}

// No text that is cut off anywhere, or has one byte changed, does anything but parse or be refused.
TEST(YamlHostile, MutilatedTextNeverFailsOtherwise) {
  const std::string yaml =
      valid("optimizer:\n  rate: &r 1e-3\n  decay: *r\nschedule: {steps: 9}\n");
  for (size_t length = 0; length < yaml.size(); ++length) {
    EXPECT_NO_THROW(problems_of(yaml.substr(0, length)));
    for (const char byte : {'{', '}', '[', ':', '&', '*', '\n', '\t', '"', '|', '!', '%', '\0'}) {
      std::string changed = yaml;
      changed[length] = byte;
      EXPECT_NO_THROW(problems_of(changed)) << changed;
    }
  }
}

}  // namespace
}  // namespace longhaul::launch
