#include "data/tasks/babilong_prompts.h"

#include <glog/logging.h>

#include <array>
#include <string_view>
#include <vector>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
struct Shot {
  std::string_view story, answer;
};
struct Prompt {
  std::string_view instruction;
  std::vector<Shot> shots;
  std::string_view form;
};

const std::array<Prompt, kBabilongTasks>& prompts() {
  static const std::array<Prompt, kBabilongTasks> all{
      Prompt{"Somewhere in the text below, sentences say who went where. Use only them to answer "
             "the question. Whoever went to several places is at the last of them.",
             {{"Nora went to the barn. Felix went back to the porch. Nora travelled to the cellar. "
               "Where is Nora?",
               "The place where Nora is now is the cellar."},
              {"Hugo moved to the pantry. Clara journeyed to the attic. Clara went to the porch. "
               "Hugo went to the barn. Where is Hugo?",
               "The place where Hugo is now is the barn."}},
             "Answer with one sentence of this form and nothing more: The place where <person> is "
             "now is the <place>."},
      Prompt{"Somewhere in the text below, sentences say who went where, and who took or left "
             "something. Use only them to answer the question. What somebody carries goes where "
             "they go; what they left stays where they left it.",
             {{"Nora went to the barn. Nora took the lamp. Nora moved to the cellar. Where is the "
               "lamp?",
               "The lamp is in the cellar."},
              {"Hugo went to the attic. Hugo picked up the rope there. Hugo travelled to the "
               "porch. Hugo dropped the rope. Hugo went to the barn. Where is the rope?",
               "The rope is in the porch."}},
             "Answer with one sentence of this form and nothing more: The <thing> is in the "
             "<place>."},
      Prompt{"Somewhere in the text below, sentences say who went where, and who took or left "
             "something. Use only them to answer the question. What somebody carries goes where "
             "they go; what they left stays where they left it.",
             {{"Nora went to the barn. Nora took the lamp. Nora moved to the cellar. Nora went to "
               "the porch. Where was the lamp before the porch?",
               "Before that the lamp was in the cellar."},
              {"Hugo went to the attic. Hugo got the rope. Hugo journeyed to the pantry. Where was "
               "the rope before the pantry?",
               "Before that the rope was in the attic."}},
             "Answer with one sentence of this form and nothing more: Before that the <thing> was "
             "in the <place>."},
      Prompt{"Somewhere in the text below, sentences say which place lies on which side of "
             "another. Use only them to answer the question.",
             {{"The barn is north of the porch. The cellar is south of the porch. What is north of "
               "the porch?",
               "barn."},
              {"The attic is east of the pantry. The pantry is east of the barn. What is the "
               "pantry east of?",
               "barn."}},
             "Answer with one word, a place, and nothing more."},
      Prompt{"Somewhere in the text below, sentences say who went where, took what, and gave it to "
             "whom. Use only them to answer the question.",
             {{"Nora took the lamp there. Nora gave the lamp to Felix. Hugo went to the barn. Who "
               "did Nora give the lamp to?",
               "Felix."},
              {"Clara got the rope there. Clara handed the rope to Hugo. Nora went to the attic. "
               "Who gave the rope?",
               "Clara."},
              {"Felix grabbed the kite there. Felix passed the kite to Nora. Who received the "
               "kite?",
               "Nora."}},
             "Answer with one word and nothing more."},
      Prompt{"Somewhere in the text below, sentences say who went where. Use only them to answer "
             "the question. Whoever went to several places is at the last of them.",
             {{"Nora went to the barn. Nora moved to the cellar. Is Nora in the cellar?", "yes."},
              {"Hugo went to the attic. Clara went to the porch. Hugo travelled to the barn. Is "
               "Hugo in the attic?",
               "no."}},
             "Answer with one word, yes or no, and nothing more."}};
  return all;
}
}  // namespace

int64_t babilong_shots(int task) {
  CHECK(task >= 1 && task <= kBabilongTasks);
  return std::ssize(prompts()[static_cast<size_t>(task) - 1].shots);
}

std::string babilong_head(int task, int64_t shots, bool instruction) {
  const int64_t most = babilong_shots(task);
  if (shots < -1 || shots > most)
    throw core::InputError(core::message("babilong: shots: found ", shots, ", expected at most ",
                                         most, " for qa", task, " (-1: all)"));
  const Prompt& prompt = prompts()[static_cast<size_t>(task) - 1];
  std::string head;
  if (instruction) head += std::string(prompt.instruction) + "\n";
  for (int64_t i = 0; i < (shots < 0 ? most : shots); ++i) {
    const Shot& shot = prompt.shots[static_cast<size_t>(i)];
    head += core::message("<example>\n", shot.story, "\nAnswer: ", shot.answer, "\n</example>\n");
  }
  if (instruction) head += std::string(prompt.form) + "\n";
  return head + "<context>\n";
}

std::string babilong_tail(const std::string& question) {
  return "\n</context>\nQuestion: " + question;
}

}  // namespace longhaul::data
