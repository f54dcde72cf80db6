#include "data/tasks/babilong_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <regex>
#include <set>

#include "data/tasks/babi_file.h"
#include "data/tasks/babi_world.h"
#include "data/tasks/babilong_prompts.h"
#include "tests/data/a_task.h"
#include "tests/data/babi_reader.h"
#include "tests/data/scratch.h"
#include "tests/data/tokenizer_file.h"

namespace longhaul::data {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::problem_of;
using testing::Scratch;

core::RandomKey key_of(uint64_t number) { return {5, number, core::RandomPurpose::kSyntheticTask}; }

std::string text_of(const Tokenizer& tokenizer, const std::vector<int32_t>& tokens) {
  std::string text;
  for (const int32_t token : tokens) text += tokenizer.decode(token);
  return text;
}

std::unique_ptr<Tokenizer> with_end(const Scratch& scratch, nlohmann::json file) {
  testing::add_token(file, "<end>", {{"special", true}});
  return testing::made(scratch, file, "<end>");
}

/// Numbered sentences of another world: "Line 17 of 3 says nothing at all."
class BabilongTaskTest : public ::testing::Test {
 protected:
  BabilongTaskTest() {
    write_babi_world(scratch_ / "world", 40, 10, 9);
    write_background(scratch_ / "background", 12);
    folder_ = std::make_unique<TokenFolder>(scratch_ / "background");
    background_ = std::make_unique<BackgroundText>(*folder_, *tokenizer_);
  }

  void write_background(const std::filesystem::path& folder, int documents) const {
    TokenFolderWriter writer(folder, {.tokenizer = tokenizer_->name(),
                                      .vocabulary = tokenizer_->vocabulary(),
                                      .end_of_document = tokenizer_->end_of_document()});
    for (int document = 0; document < documents; ++document) {
      std::vector<int32_t> tokens;
      for (int line = 0; line < 60; ++line)
        tokenizer_->encode(core::message(line > 0 ? " " : "", "Line ", line, " of ", document,
                                         " says 3.", line, " nothings."),
                           tokens);
      writer.add_document(tokens);
    }
    writer.finish();
  }

  std::unique_ptr<Task> task(int number, const BabilongPrompt& prompt = {}) const {
    const auto files = find_babi_files(scratch_ / "world", "train", 6);
    const auto file = std::find_if(files.begin(), files.end(), [&](const auto& path) {
      return babi_task_number(path) == number;
    });
    return make_babilong_task(*file, *tokenizer_, background_.get(), prompt);
  }

  Scratch scratch_;
  std::unique_ptr<Tokenizer> tokenizer_ = with_end(
      scratch_, testing::byte_level_json({{"Ġ", "t"}, {"h", "e"}, {".", "Ġ"}, {"i", "n"}}));
  std::unique_ptr<TokenFolder> folder_;
  std::unique_ptr<BackgroundText> background_;
};

struct Parts {
  std::string head, context, question;
};
Parts parts_of(const std::string& text) {
  const size_t begin = text.rfind("<context>\n") + 10, end = text.rfind("\n</context>\nQuestion: ");
  return {text.substr(0, begin), text.substr(begin, end - begin), text.substr(end + 22)};
}

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(c));
  return text;
}

/// Sentences of the context: the world's in order, the background's without what is cut.
void read_context(const std::string& context, testing::BabiReader& reader, int& facts,
                  std::vector<int>& lines) {
  size_t begin = 0;
  for (size_t i = 0; i < context.size(); ++i) {
    const bool ends = context[i] == '.' &&
                      (i + 1 == context.size() || context[i + 1] == ' ' || context[i + 1] == 'L');
    if (!ends) continue;
    std::string sentence = context.substr(begin, i + 1 - begin);
    sentence.erase(0, sentence.find_first_not_of(' '));
    begin = i + 1;
    if (sentence.starts_with("Line ")) {
      lines.push_back(std::stoi(sentence.substr(5)));
    } else {
      reader.read(sentence);
      ++facts;
    }
  }
}

TEST_F(BabilongTaskTest, HidesAStoryWhoseAnswerFollows) {
  for (const int number : {1, 2, 3, 4, 5, 6}) {
    const auto babilong = task(number);
    for (uint64_t i = 0; i < 30; ++i) {
      const int64_t length = 3000 + static_cast<int64_t>(i);
      const Example example = babilong->example({.length = length, .key = key_of(i)});
      ASSERT_EQ(std::ssize(example.prompt), length);
      const std::string text = text_of(*tokenizer_, example.prompt);
      const Parts parts = parts_of(text);
      EXPECT_EQ(parts.head, babilong_head(built_in_babilong_wording(), number, -1, true));
      EXPECT_EQ(parts.question, example.question);
      testing::BabiReader reader;
      int facts = 0;
      std::vector<int> lines;
      read_context(parts.context, reader, facts, lines);
      EXPECT_EQ(reader.answer(example.question), example.answer_text) << text;
      EXPECT_GE(facts, 2);
      // The background runs on undisturbed: one line after another.
      ASSERT_GT(lines.size(), 10u);
      for (size_t j = 1; j < lines.size(); ++j)
        EXPECT_EQ(lines[j], (lines[j - 1] + 1) % 60) << parts.context;
      EXPECT_EQ(text_of(*tokenizer_, example.answer), "\nAnswer: " + example.answer_text + ".");
      EXPECT_EQ(babilong->labels().count(lower_case(example.answer_text)), 1u);
      // The depth is that of a sentence of the story.
      const auto at = static_cast<size_t>(
          std::llround(example.depth * static_cast<double>(example.prompt.size())));
      const std::string from = text_of(
          *tokenizer_, {example.prompt.begin() + static_cast<ptrdiff_t>(at), example.prompt.end()});
      const std::string sentence = from.substr(1, from.find('.') - 1);
      EXPECT_TRUE(std::regex_search(sentence, std::regex("^(Anna|Omar|Lena|Pedro|The) ")))
          << from.substr(0, 40);
      if (number == 2 || number == 3) continue;
      testing::BabiReader evidence;
      evidence.read(sentence);
      EXPECT_EQ(evidence.answer(example.question), example.answer_text) << sentence;
    }
  }
}

TEST_F(BabilongTaskTest, FactsSpreadOverTheWholeContext) {
  const auto babilong = task(1);
  std::vector<int> tenths(10);
  for (uint64_t i = 0; i < 300; ++i) {
    const Example example = babilong->example({.length = 6000, .key = key_of(i)});
    ++tenths[static_cast<size_t>(10 * example.depth)];
  }
  for (const size_t tenth : {2, 4, 6, 8}) EXPECT_GT(tenths[tenth], 5) << tenth;
}

TEST_F(BabilongTaskTest, ASeriesAsksEveryDifferentQuestionOnce) {
  const auto path = scratch_ / "qa1_few_test.txt";
  std::ofstream(path) << "1 Anna is here.\n2 Where is Anna?\there\t1\n"
                         "1 Omar is there.\n2 Where is Omar?\tthere\t1\n"
                         "3 Omar is here.\n4 Where is Omar?\there\t3\n"
                         "1 Anna is here.\n2 Where is Anna?\there\t1\n";
  const auto babilong = make_babilong_task(path, *tokenizer_, background_.get(), {.shots = 0});
  EXPECT_EQ(babilong->different(0), 3);  // the last is the first again
  const auto asked = [&](uint64_t seed) {
    std::vector<std::vector<int32_t>> prompts;
    for (int64_t number = 0; number < babilong->different(0); ++number) {
      const core::RandomKey key{seed, 9, core::RandomPurpose::kSyntheticTask};
      prompts.push_back(babilong->example({.length = 0, .key = key, .number = number}).prompt);
    }
    return prompts;
  };
  std::set<std::vector<std::vector<int32_t>>> orders;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto prompts = asked(seed);
    EXPECT_EQ(std::set(prompts.begin(), prompts.end()).size(), 3u);
    EXPECT_EQ(asked(seed), prompts);
    orders.insert(prompts);
  }
  EXPECT_GT(orders.size(), 1u);
  // Short lengths hold fewer of them.
  int64_t longest = 0;
  for (int64_t number = 0; number < 3; ++number) {
    const Example example = babilong->example(
        {.length = 0, .key = key_of(static_cast<uint64_t>(number)), .number = number});
    longest = std::max(longest, std::ssize(example.prompt) + std::ssize(example.answer));
  }
  EXPECT_EQ(babilong->different(longest), 3);
  EXPECT_LT(babilong->different(longest - 1), 3);
}

TEST_F(BabilongTaskTest, LengthZeroIsTheStoryAlone) {
  const auto babilong = task(1, {.shots = 0, .instruction = false});
  const Example example = babilong->example({.length = 0, .key = key_of(4)});
  const std::string text = text_of(*tokenizer_, example.prompt);
  EXPECT_TRUE(text.starts_with("<context>\n")) << text;
  EXPECT_THAT(text, Not(HasSubstr("Line")));
  testing::BabiReader reader;
  int facts = 0;
  std::vector<int> lines;
  read_context(parts_of(text).context, reader, facts, lines);
  EXPECT_EQ(reader.answer(example.question), example.answer_text);
}

TEST_F(BabilongTaskTest, RowsAreAsLongAsTheyAreAndTrainOnTheAnswer) {
  std::vector<std::unique_ptr<Task>> tasks;
  for (const int number : {1, 2, 4, 5, 6}) tasks.push_back(task(number, {.shots = 0}));
  const auto mixture = whole_task(*testing::a_kind("copy"), std::move(tasks));
  std::set<std::string> instructions;
  for (uint64_t i = 0; i < 60; ++i) {
    std::vector<int32_t> tokens(2000), labels(2000);
    mixture->write_row(key_of(i), tokens, labels);
    const std::string text = text_of(*tokenizer_, tokens);
    instructions.insert(text.substr(0, 60));
    const size_t answer = text.rfind("\nAnswer: ");
    std::string asked;
    for (size_t j = 0; j < labels.size(); ++j)
      if (labels[j] >= 0) {
        EXPECT_EQ(labels[j], tokens[j + 1]);
        asked += tokenizer_->decode(labels[j]);
      }
    EXPECT_EQ(asked, text.substr(answer));
  }
  EXPECT_EQ(instructions.size(), 4u);  // qa1 and qa6 say the same
}

TEST_F(BabilongTaskTest, RefusesWhatCannotBe) {
  const auto babilong = task(3);
  const std::string problem = problem_of([&] { babilong->example({.length = 50}); });
  const std::string words = "no story fits into 50 tokens, expected at least ";
  ASSERT_THAT(problem, HasSubstr(words));
  const int64_t least = std::stoll(problem.substr(problem.find(words) + words.size()));
  EXPECT_EQ(std::ssize(babilong->example({.length = least}).prompt), least);
  EXPECT_THAT(problem_of([&] { babilong->example({.length = least - 1}); }),
              HasSubstr("no story fits"));
  EXPECT_THAT(problem_of([&] { babilong->example({.length = 10'000'000}); }),
              HasSubstr("tokens of text, a context needs "));
  const auto byte = make_tokenizer("byte");
  EXPECT_THAT(problem_of([&] { BackgroundText(*folder_, *byte); }),
              HasSubstr("holds tokens of the tokenizer"));
  TokenFolderWriter larger(scratch_ / "larger", {.tokenizer = tokenizer_->name(),
                                                 .vocabulary = tokenizer_->vocabulary() + 1,
                                                 .end_of_document = tokenizer_->end_of_document()});
  larger.finish();
  EXPECT_THAT(problem_of([&] { BackgroundText(TokenFolder(scratch_ / "larger"), *tokenizer_); }),
              HasSubstr("larger: has a vocabulary of "));
  for (const std::string name : {"stories.txt", "qa7_x.txt"}) {
    testing::write_file(scratch_ / name, "1 Ann is here.\n2 Where is Ann?\there\t1\n");
    EXPECT_THAT(problem_of([&] { make_babilong_task(scratch_ / name, *byte, nullptr, {}); }),
                HasSubstr(name + ": expected a name that begins with qa1_ to qa6_"));
  }
  TokenFolderWriter writer(scratch_ / "ends", {.tokenizer = tokenizer_->name(),
                                               .vocabulary = tokenizer_->vocabulary(),
                                               .end_of_document = tokenizer_->end_of_document()});
  writer.add_document(std::vector<int32_t>(500, tokenizer_->end_of_document()));
  writer.finish();
  const TokenFolder ends(scratch_ / "ends");
  const BackgroundText nothing(ends, *tokenizer_);
  core::RandomStream random(key_of(1));
  EXPECT_THAT(problem_of([&] { nothing.passage(10, random); }),
              HasSubstr("holds nothing but ends of documents"));
}

/// Written out by hand: what few-shot prompts say, to the byte, and what is trained of them.
class FewShotPrompt : public ::testing::Test {
 protected:
  FewShotPrompt() {
    testing::write_file(scratch_ / "qa1_hand.txt",
                        "1 Mary moved to the bathroom.\n2 John went to the hallway.\n"
                        "3 Where is Mary?\tbathroom\t1\n");
    testing::write_file(scratch_ / "qa5_hand.txt",
                        "1 Fred took the football there.\n2 Fred gave the football to Bill.\n"
                        "3 What did Fred give to Bill?\tfootball\t2\n");
  }
  Example example(const std::string& file, const BabilongPrompt& prompt) const {
    return make_babilong_task(scratch_ / file, *byte_, nullptr, prompt)->example({.length = 0});
  }
  std::string prompt(const std::string& file, const BabilongPrompt& prompt) const {
    return text_of(*byte_, example(file, prompt).prompt);
  }

  Scratch scratch_;
  std::unique_ptr<Tokenizer> byte_ = make_tokenizer("byte");
};

TEST_F(FewShotPrompt, SaysWhatIsToBeDoneExamplesAndForm) {
  const std::string story =
      "<context>\n Mary moved to the bathroom. John went to the hallway.\n</context>\n"
      "Question: Where is Mary?";
  const std::string first =
      "<example>\nNora went to the barn. Felix went back to the porch. Nora travelled to the "
      "cellar. Where is Nora?\nAnswer: The place where Nora is now is the cellar.\n</example>\n";
  const std::string second =
      "<example>\nHugo moved to the pantry. Clara journeyed to the attic. Clara went to the porch. "
      "Hugo went to the barn. Where is Hugo?\nAnswer: The place where Hugo is now is the barn.\n"
      "</example>\n";
  const std::string instruction =
      "Somewhere in the text below, sentences say who went where. Use only them to answer the "
      "question. Whoever went to several places is at the last of them.\n";
  const std::string form =
      "Answer with one sentence of this form and nothing more: The place where <person> is now is "
      "the <place>.\n";
  EXPECT_EQ(prompt("qa1_hand.txt", {}), instruction + first + second + form + story);
  EXPECT_EQ(prompt("qa1_hand.txt", {.shots = 2}), instruction + first + second + form + story);
  EXPECT_EQ(prompt("qa1_hand.txt", {.shots = 1}), instruction + first + form + story);
  EXPECT_EQ(prompt("qa1_hand.txt", {.shots = 0}), instruction + form + story);
  EXPECT_EQ(prompt("qa1_hand.txt", {.instruction = false}), first + second + story);
  EXPECT_EQ(prompt("qa1_hand.txt", {.shots = 0, .instruction = false}), story);
}

TEST_F(FewShotPrompt, ShowsThreeExamplesOfTaskFive) {
  EXPECT_EQ(prompt("qa5_hand.txt", {}),
            "Somewhere in the text below, sentences say who went where, took what, and gave it to "
            "whom. Use only them to answer the question.\n"
            "<example>\nNora took the lamp there. Nora gave the lamp to Felix. Hugo went to the "
            "barn. Who did Nora give the lamp to?\nAnswer: Felix.\n</example>\n"
            "<example>\nClara got the rope there. Clara handed the rope to Hugo. Nora went to the "
            "attic. Who gave the rope?\nAnswer: Clara.\n</example>\n"
            "<example>\nFelix grabbed the kite there. Felix passed the kite to Nora. Who received "
            "the kite?\nAnswer: Nora.\n</example>\n"
            "Answer with one word and nothing more.\n"
            "<context>\n Fred took the football there. Fred gave the football to Bill.\n"
            "</context>\nQuestion: What did Fred give to Bill?");
}

TEST_F(FewShotPrompt, TheDepthIsOfTheLastFactInWhateverOrderTheFileNamesThem) {
  for (const char* supports : {"1 3", "3 1"}) {
    testing::write_file(scratch_ / "qa2_hand.txt",
                        core::message("1 Fred went to the hall.\n2 Bill went to the hall.\n"
                                      "3 Fred took the milk there.\n4 Bill went to the garden.\n"
                                      "5 Where is the milk?\thall\t",
                                      supports, "\n"));
    const Example asked = example("qa2_hand.txt", {});
    const auto at =
        static_cast<size_t>(std::llround(asked.depth * static_cast<double>(asked.prompt.size())));
    EXPECT_TRUE(text_of(*byte_, asked.prompt).substr(at).starts_with(" Fred took the milk"));
  }
}

TEST_F(FewShotPrompt, NeedsTextForALength) {
  const auto task = make_babilong_task(scratch_ / "qa1_hand.txt", *byte_, nullptr, {});
  EXPECT_THAT(problem_of([&] { task->example({.length = 5000}); }),
              HasSubstr("no background text is given, expected length 0 only"));
}

TEST_F(FewShotPrompt, TrainsOnTheAnswerAlone) {
  EXPECT_EQ(text_of(*byte_, example("qa1_hand.txt", {}).answer), "\nAnswer: bathroom.");
  // Rows need text even where every byte is a fact's; theirs is of one sentence, repeated.
  TokenFolderWriter writer(scratch_ / "text", {.tokenizer = byte_->name(),
                                               .vocabulary = byte_->vocabulary(),
                                               .end_of_document = byte_->end_of_document()});
  std::vector<int32_t> tokens;
  for (int i = 0; i < 100; ++i) byte_->encode("It rained all day long. ", tokens);
  writer.add_document(tokens);
  writer.finish();
  const TokenFolder folder(scratch_ / "text");
  const BackgroundText background(folder, *byte_);
  const auto task = make_babilong_task(scratch_ / "qa1_hand.txt", *byte_, &background, {});
  std::vector<int32_t> row(1000), labels(1000);
  task->write_row(key_of(1), row, labels);
  const std::string text = text_of(*byte_, row);
  EXPECT_TRUE(text.starts_with(babilong_head(built_in_babilong_wording(), 1, 2, true))) << text;
  EXPECT_TRUE(text.ends_with("\n</context>\nQuestion: Where is Mary?\nAnswer: bathroom.")) << text;
  const size_t answer = text.rfind("\nAnswer: ");
  for (size_t i = 0; i < labels.size(); ++i)
    EXPECT_EQ(labels[i], i + 1 >= answer && i + 1 < row.size() ? row[i + 1] : -1) << i;
}

}  // namespace
}  // namespace longhaul::data
