#include "data/tasks/babilong_prompts.h"

#include <glog/logging.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
std::string example(std::string_view story, std::string_view answer) {
  return core::message("<example>\n", story, "\nAnswer: ", answer, "\n</example>");
}

std::array<BabilongWords, kBabilongTasks> own_words() {
  return {
      BabilongWords{
          "Somewhere in the text below, sentences say who went where. Use only them to answer "
          "the question. Whoever went to several places is at the last of them.",
          {example(
               "Nora went to the barn. Felix went back to the porch. Nora travelled to the cellar. "
               "Where is Nora?",
               "The place where Nora is now is the cellar."),
           example(
               "Hugo moved to the pantry. Clara journeyed to the attic. Clara went to the porch. "
               "Hugo went to the barn. Where is Hugo?",
               "The place where Hugo is now is the barn.")},
          "Answer with one sentence of this form and nothing more: The place where <person> is "
          "now is the <place>."},
      BabilongWords{
          "Somewhere in the text below, sentences say who went where, and who took or left "
          "something. Use only them to answer the question. What somebody carries goes where "
          "they go; what they left stays where they left it.",
          {example(
               "Nora went to the barn. Nora took the lamp. Nora moved to the cellar. Where is the "
               "lamp?",
               "The lamp is in the cellar."),
           example("Hugo went to the attic. Hugo picked up the rope there. Hugo travelled to the "
                   "porch. Hugo dropped the rope. Hugo went to the barn. Where is the rope?",
                   "The rope is in the porch.")},
          "Answer with one sentence of this form and nothing more: The <thing> is in the "
          "<place>."},
      BabilongWords{
          "Somewhere in the text below, sentences say who went where, and who took or left "
          "something. Use only them to answer the question. What somebody carries goes where "
          "they go; what they left stays where they left it.",
          {example(
               "Nora went to the barn. Nora took the lamp. Nora moved to the cellar. Nora went to "
               "the porch. Where was the lamp before the porch?",
               "Before that the lamp was in the cellar."),
           example(
               "Hugo went to the attic. Hugo got the rope. Hugo journeyed to the pantry. Where was "
               "the rope before the pantry?",
               "Before that the rope was in the attic.")},
          "Answer with one sentence of this form and nothing more: Before that the <thing> was "
          "in the <place>."},
      BabilongWords{
          "Somewhere in the text below, sentences say which place lies on which side of "
          "another. Use only them to answer the question.",
          {example(
               "The barn is north of the porch. The cellar is south of the porch. What is north of "
               "the porch?",
               "barn."),
           example("The attic is east of the pantry. The pantry is east of the barn. What is the "
                   "pantry east of?",
                   "barn.")},
          "Answer with one word, a place, and nothing more."},
      BabilongWords{
          "Somewhere in the text below, sentences say who went where, took what, and gave it to "
          "whom. Use only them to answer the question.",
          {example(
               "Nora took the lamp there. Nora gave the lamp to Felix. Hugo went to the barn. Who "
               "did Nora give the lamp to?",
               "Felix."),
           example(
               "Clara got the rope there. Clara handed the rope to Hugo. Nora went to the attic. "
               "Who gave the rope?",
               "Clara."),
           example("Felix grabbed the kite there. Felix passed the kite to Nora. Who received the "
                   "kite?",
                   "Nora.")},
          "Answer with one word and nothing more."},
      BabilongWords{
          "Somewhere in the text below, sentences say who went where. Use only them to answer "
          "the question. Whoever went to several places is at the last of them.",
          {example("Nora went to the barn. Nora moved to the cellar. Is Nora in the cellar?",
                   "yes."),
           example(
               "Hugo went to the attic. Clara went to the porch. Hugo travelled to the barn. Is "
               "Hugo in the attic?",
               "no.")},
          "Answer with one word, yes or no, and nothing more."}};
}

constexpr std::string_view kContext = "{context}", kQuestion = "{question}", kAnswer = "{answer}";
constexpr std::array<std::string_view, 3> kBeforeContext{"{instruction}", "{examples}",
                                                         "{post_prompt}"};

using Filling = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// What is filled in is not looked at again.
std::string filled(std::string_view text, Filling fillings) {
  std::string result;
  while (!text.empty()) {
    const auto* found = std::find_if(fillings.begin(), fillings.end(), [&](const auto& filling) {
      return text.starts_with(filling.first);
    });
    if (found == fillings.end()) {
      result += text.front();
      text.remove_prefix(1);
      continue;
    }
    text.remove_prefix(found->first.size());
    if (found->second.empty() && text.starts_with('\n')) text.remove_prefix(1);
    result += found->second;
  }
  return result;
}

size_t count(std::string_view text, std::string_view name) {
  size_t times = 0;
  for (size_t at = text.find(name); at != text.npos; at = text.find(name, at + name.size()))
    ++times;
  return times;
}

/// The first {name} that is not one of `known`, or "".
std::string unknown_name(std::string_view text, const std::vector<std::string_view>& known) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz_";
  for (size_t at = text.find('{'); at != text.npos; at = text.find('{', at + 1)) {
    const size_t end = text.find_first_not_of(kLetters, at + 1);
    if (end == text.npos || end == at + 1 || text[end] != '}') continue;
    const std::string_view name = text.substr(at, end + 1 - at);
    if (std::find(known.begin(), known.end(), name) == known.end()) return std::string(name);
  }
  return "";
}

std::string_view layout_before_context(const BabilongWording& wording) {
  const size_t at = wording.layout.find(kContext);
  CHECK_NE(at, std::string::npos) << wording.layout;
  return std::string_view(wording.layout).substr(0, at);
}

}  // namespace

const BabilongWording& built_in_babilong_wording() {
  static const BabilongWording wording{
      .layout =
          "{instruction}\n{examples}\n{post_prompt}\n<context>\n{context}\n</context>\n"
          "Question: {question}",
      .answer = "\nAnswer: {answer}.",
      .tasks = own_words()};
  return wording;
}

std::string problem_of_layout(const std::string& layout) {
  std::vector<std::string_view> known{kContext, kQuestion};
  known.insert(known.end(), kBeforeContext.begin(), kBeforeContext.end());
  if (const std::string name = unknown_name(layout, known); !name.empty())
    return core::message("found ", name, ", expected {instruction}, {examples}, {post_prompt}, ",
                         kContext, " and ", kQuestion);
  for (const std::string_view name : known) {
    const size_t times = count(layout, name);
    const bool required = name == kContext || name == kQuestion;
    if (times > 1 || (required && times == 0))
      return core::message("found ", name, " ", times, " times, expected it ",
                           required ? "once" : "once at most");
  }
  const size_t context = layout.find(kContext);
  if (layout.find(kQuestion) < context)
    return core::message("found ", kQuestion, " before ", kContext, ", expected it after it");
  for (const std::string_view name : kBeforeContext) {
    const size_t at = layout.find(name);
    if (at != layout.npos && at > context)
      return core::message("found ", name, " after ", kContext, ", expected it before it");
  }
  return "";
}

std::string problem_of_answer(const std::string& answer) {
  if (const std::string name = unknown_name(answer, {kAnswer}); !name.empty())
    return core::message("found ", name, ", expected ", kAnswer);
  const size_t times = count(answer, kAnswer);
  if (times != 1) return core::message("found ", kAnswer, " ", times, " times, expected it once");
  return answer.starts_with('\n') ? "" : "expected it to begin with a line break";
}

std::string babilong_head(const BabilongWording& wording, int task, int64_t shots,
                          bool instruction) {
  CHECK(task >= 1 && task <= kBabilongTasks);
  const BabilongWords& words = wording.tasks[static_cast<size_t>(task) - 1];
  const int64_t most = std::ssize(words.examples);
  if (shots < -1 || shots > most)
    throw core::InputError(core::message("babilong: shots: found ", shots, ", expected at most ",
                                         most, " for qa", task, " (-1: all)"));
  std::string examples;
  for (int64_t i = 0; i < (shots < 0 ? most : shots); ++i) {
    if (i > 0) examples += '\n';
    examples += words.examples[static_cast<size_t>(i)];
  }
  return filled(layout_before_context(wording),
                {{kBeforeContext[0], instruction ? words.instruction : ""},
                 {kBeforeContext[1], examples},
                 {kBeforeContext[2], instruction ? words.post_prompt : ""}});
}

std::string babilong_tail(const BabilongWording& wording, const std::string& question) {
  const size_t after = layout_before_context(wording).size() + kContext.size();
  return filled(std::string_view(wording.layout).substr(after), {{kQuestion, question}});
}

std::string babilong_answer(const BabilongWording& wording, const std::string& answer) {
  return filled(wording.answer, {{kAnswer, answer}});
}

}  // namespace longhaul::data
