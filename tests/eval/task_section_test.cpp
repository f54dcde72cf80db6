// Arms that were asked different parts of a task.
#include "eval/task_section.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "eval/report_tasks.h"

namespace longhaul::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// So often right in each part, at 0 and 512 tokens.
TaskResult parts(const std::map<std::string, double>& shares) {
  TaskResult result{.task = "babilong", .cells = {}};
  for (const auto& [part, share] : shares) {
    for (const int64_t length : {0, 512}) {
      result.cells.push_back({.part = part,
                              .length = length,
                              .trials = 400,
                              .accuracy = share,
                              .exact = share,
                              .low = share - 0.05,
                              .high = share + 0.05});
    }
  }
  return result;
}

LinedUp<TaskResult> section_of(const std::vector<TaskResult>& arms) {
  LinedUp<TaskResult> section{.name = "", .arms = {}};
  for (const TaskResult& arm : arms) section.arms.push_back(&arm);
  return section;
}

std::string html_of(const std::vector<TaskResult>& arms) {
  return task_html(section_of(arms), Figures(std::vector<std::string>(arms.size(), "arm")), 0);
}

/// Over all its parts a is right in 50 %, b in 40 %: in what both were asked b is better.
TEST(SharedParts, AreWhatIsPooledAndJudged) {
  const std::vector<TaskResult> arms{parts({{"qa1", 0.9}, {"qa4", 0.1}}), parts({{"qa4", 0.4}})};
  EXPECT_THAT(
      task_findings(section_of(arms), {"a", "b"}),
      ElementsAre("from no text to 512, b answers best (40 %), a worst (10 %).",
                  "Not all arms have the same parts. Pooled and judged: qa4, which all have; left "
                  "out: qa1.",
                  "a: 10 % at no text, 10 % at 512.", "b: 40 % at no text, 40 % at 512."));
  const std::string html = html_of(arms);
  EXPECT_THAT(html, HasSubstr("<p class=\"soft\">Not all arms have the same parts. Pooled and"));
  EXPECT_THAT(html, HasSubstr("<td>10.0 <small>"));
  EXPECT_THAT(html, HasSubstr("<td class=\"best\">● 40.0 <small>"));
  EXPECT_THAT(html, Not(HasSubstr("50.0 <small>")));
  EXPECT_THAT(html, HasSubstr("<h3>qa1</h3>")) << "what is left out is drawn by itself";
  EXPECT_THAT(html, HasSubstr("<h3>Right answers by length, %</h3>"));
}

TEST(SharedParts, AreAllWhereArmsWereAskedTheSame) {
  const std::vector<TaskResult> arms{parts({{"qa1", 0.9}, {"qa4", 0.1}}),
                                     parts({{"qa1", 0.1}, {"qa4", 0.5}})};
  const LinedUp<TaskResult> section = section_of(arms);
  const SharedParts shared(section);
  EXPECT_EQ(shared.sentence({"a", "b"}), "");
  EXPECT_EQ(shared.section().arms, section.arms);
  EXPECT_EQ(task_findings(section, {"a", "b"})[0],
            "from no text to 512, a answers best (50 %), b worst (30 %).");
}

TEST(SharedParts, MayBeNone) {
  const std::vector<TaskResult> arms{parts({{"qa1", 0.9}, {"qa2", 0.5}}), parts({{"qa4", 0.2}})};
  const auto found = task_findings(section_of(arms), {"a", "b"});
  EXPECT_EQ(found[0], "nothing is compared, as the arms have no part in common.");
  EXPECT_EQ(found[1],
            "The arms have no part in common (a: qa1 and qa2; b: qa4): each is shown over its own, "
            "and nothing is judged.");
  EXPECT_EQ(found[2], "a: 70 % at no text, 70 % at 512.");
  const std::string html = html_of(arms);
  EXPECT_THAT(html, HasSubstr("The arms have no part in common"));
  EXPECT_THAT(html, Not(HasSubstr("●")));
  EXPECT_THAT(html, Not(HasSubstr("<h3>Right answers by length, %</h3>")));
  EXPECT_THAT(html, HasSubstr("<h3>qa4</h3>"));
}

TEST(SharedParts, OfSeedsAreInAllOfThem) {
  TaskResult mean = parts({{"qa1", 0.9}, {"qa4", 0.3}});
  mean.of_seeds = {{"seed-1", parts({{"qa1", 0.9}, {"qa4", 0.2}})},
                   {"seed-2", parts({{"qa4", 0.4}})}};
  const std::vector<TaskResult> arms{mean, parts({{"qa1", 0.5}, {"qa4", 0.8}})};
  const SharedParts shared(section_of(arms));
  EXPECT_THAT(shared.sentence({"a", "b"}), HasSubstr("qa4, which all have; left out: qa1."));
  EXPECT_DOUBLE_EQ(pooled_cell(*shared.section().arms[0], 512, 0, 1).accuracy, 0.3);
  EXPECT_DOUBLE_EQ(pooled_cell(*shared.section().arms[1], 512, 0, 1).accuracy, 0.8);
}

TEST(SharedParts, DoNotDependOnArmsThatWereAskedNothing) {
  TaskResult empty = parts({{"qa9", 0}});
  for (TaskCell& cell : empty.cells) cell.trials = 0;
  const std::vector<TaskResult> arms{parts({{"qa1", 0.9}}), empty, parts({{"qa1", 0.5}})};
  EXPECT_EQ(task_findings(section_of(arms), {"a", "b", "c"})[0],
            "from no text to 512, a answers best (90 %), c worst (50 %).");
}

TEST(TaskCurves, SayThatLengthZeroIsNotDrawn) {
  const char* caption = " Not drawn: no text, as a logarithmic axis has no 0.</figcaption>";
  TaskResult with = parts({{"qa1", 0.9}}), without = with;
  std::erase_if(without.cells, [](const TaskCell& cell) { return cell.length == 0; });
  without.cells.push_back({.part = "qa1", .length = 1024, .trials = 9, .accuracy = 1, .exact = 1});
  EXPECT_THAT(html_of({with}), HasSubstr(caption));
  EXPECT_THAT(html_of({without}), Not(HasSubstr("Not drawn")));
}

TEST(TaskCurves, HaveInTheirLegendWhoIsDrawn) {
  const std::vector<TaskResult> arms{parts({{"qa1", 0.9}, {"qa4", 0.1}}), parts({{"qa4", 0.4}})};
  const std::string html = task_html(section_of(arms), Figures({"one", "two"}), 0);
  const std::string qa1 = html.substr(html.find("<h3>qa1</h3>"), 400);
  EXPECT_THAT(qa1, HasSubstr("<span>one</span>"));
  EXPECT_THAT(qa1.substr(0, qa1.find("</ul>")), Not(HasSubstr("<span>two</span>")));
}

TEST(TaskTable, BreaksNamesAfterUnderscores) {
  const TaskResult arm = parts({{"qa1", 0.9}});
  EXPECT_THAT(task_html({.name = "", .arms = {&arm}}, Figures({"state_passing"}), 0),
              HasSubstr("<th scope=\"row\">state_<wbr>passing</th>"));
}

}  // namespace
}  // namespace longhaul::eval
