#include "data/tasks/babilong_task.h"

#include <glog/logging.h>

#include <algorithm>
#include <map>

#include "data/tasks/babi_file.h"
#include "data/tasks/babilong_prompts.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {

using Tokens = std::vector<int32_t>;

void append(Tokens& to, const Tokens& from) { to.insert(to.end(), from.begin(), from.end()); }

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

class FileTask final : public Task {
 public:
  FileTask(const std::filesystem::path& file, const Tokenizer& tokenizer,
           const BackgroundText* background, const BabilongPrompt& prompt)
      : file_(file.string()),
        number_(babi_task_number(file)),
        tokenizer_(tokenizer),
        background_(background),
        wording_(prompt.wording),
        stories_(read_babi(file)),
        head_(tokenizer.frame().before) {
    if (number_ < 1 || number_ > kBabilongTasks)
      throw core::InputError(core::message(file_, ": expected a name that begins with qa1_ to qa",
                                           kBabilongTasks, "_, which says the task"));
    const std::string head = babilong_head(wording_, number_, prompt.shots, prompt.instruction);
    tokenizer.encode(head, head_);
    fingerprint_ = fingerprint_of(head + tokenizer_identity(tokenizer.name()));
    fingerprint_ = fingerprint_of(
        babilong_tail(wording_, "{question}") + babilong_answer(wording_, "{answer}"),
        fingerprint_);
    if (background_ != nullptr)
      fingerprint_ = fingerprint_of(std::to_string(background_->fingerprint()), fingerprint_);
    for (size_t story = 0; story < stories_.size(); ++story) list_questions(story);
    std::sort(questions_.begin(), questions_.end(), [](const Listed& a, const Listed& b) {
      return std::tie(a.tokens, a.story, a.question) < std::tie(b.tokens, b.story, b.question);
    });
    list_different();
  }

  std::string name() const override { return core::message("qa", number_); }
  int64_t vocabulary() const override { return tokenizer_.vocabulary(); }
  uint64_t fingerprint() const override { return fingerprint_; }
  std::set<std::string> labels() const override { return labels_; }

  Example example(const ExampleRequest& request) const override {
    CHECK_LT(request.depth, 0) << "facts lie where they are drawn";
    core::RandomStream random(request.key);
    const Listed& chosen = request.number < 0 ? questions_[random.below(fitting(request.length))]
                                              : questions_[different_at(request)];
    const BabiQuestion& question = stories_[chosen.story].questions[chosen.question];
    Example example{.prompt = head_, .question = question.text, .answer_text = question.answer};
    tokenizer_.encode_inside(babilong_answer(wording_, question.answer), example.answer);
    Tokens tail;
    tokenizer_.encode_inside(babilong_tail(wording_, question.text), tail);

    int64_t filler = 0;
    if (request.length > 0) {
      filler = request.length - static_cast<int64_t>(head_.size() + tail.size()) -
               facts_length(chosen) -
               (request.with_answer ? static_cast<int64_t>(example.answer.size()) : 0);
      if (background_ == nullptr)
        throw core::InputError("babilong: no background text is given, expected length 0 only");
    }
    BackgroundText::Passage passage{.tokens = {}, .borders = {0}};
    if (filler > 0) passage = background_->passage(filler, random);
    const size_t evidence = weave(chosen, passage, random, example.prompt);
    append(example.prompt, tail);
    example.depth = static_cast<double>(evidence) / static_cast<double>(example.prompt.size());
    return example;
  }

  int64_t different(int64_t length) const override {
    return std::lower_bound(different_.begin(), different_.end(), fitting(length)) -
           different_.begin();
  }

 private:
  struct Listed {
    int64_t tokens = 0;  // of everything but filler
    size_t story = 0, question = 0;
  };

  void list_questions(size_t story) {
    int64_t facts = 0;
    size_t counted = 0;
    const BabiStory& from = stories_[story];
    for (size_t i = 0; i < from.questions.size(); ++i) {
      const BabiQuestion& question = from.questions[i];
      for (; counted < question.facts; ++counted) facts += std::ssize(fact(from.facts[counted]));
      Tokens rest;
      tokenizer_.encode_inside(babilong_tail(wording_, question.text), rest);
      tokenizer_.encode_inside(babilong_answer(wording_, question.answer), rest);
      questions_.push_back(
          {.tokens = std::ssize(head_) + facts + std::ssize(rest), .story = story, .question = i});
      labels_.insert(lower_case(question.answer));
      for (size_t f = 0; f < question.facts; ++f)
        fingerprint_ = fingerprint_of(from.facts[f] + "\n", fingerprint_);
      fingerprint_ = fingerprint_of(question.text + "\t" + question.answer + "\n", fingerprint_);
    }
  }

  /// Of questions that are the same, facts and all, the first.
  void list_different() {
    std::set<uint64_t> seen;
    for (size_t i = 0; i < questions_.size(); ++i) {
      const BabiStory& story = stories_[questions_[i].story];
      const BabiQuestion& question = story.questions[questions_[i].question];
      uint64_t text = fingerprint_of(question.text);
      for (size_t f = 0; f < question.facts; ++f)
        text = fingerprint_of("\n" + story.facts[f], text);
      if (seen.insert(text).second) different_.push_back(i);
    }
  }

  /// The place of a series' question: all that fit, in an order drawn for the seed and the length.
  size_t different_at(const ExampleRequest& request) const {
    std::vector<size_t> order(different_.begin(), different_.begin() + different(request.length));
    CHECK_LT(request.number, std::ssize(order));
    core::RandomStream random({.seed = request.key.seed,
                               .step = static_cast<uint64_t>(request.length),
                               .purpose = core::RandomPurpose::kSyntheticTask});
    const auto number = static_cast<size_t>(request.number);
    for (size_t i = 0; i <= number; ++i) {
      std::swap(order[i], order[i + random.below(order.size() - i)]);
    }
    return order[number];
  }

  /// Tokens of a sentence of the file; there are few different ones.
  const Tokens& fact(const std::string& sentence) {
    const auto [known, fresh] = facts_.try_emplace(sentence);
    if (fresh) tokenizer_.encode_inside(" " + sentence, known->second);
    return known->second;
  }

  int64_t facts_length(const Listed& listed) const {
    const BabiStory& story = stories_[listed.story];
    int64_t length = 0;
    for (size_t i = 0; i < story.questions[listed.question].facts; ++i)
      length += std::ssize(facts_.at(story.facts[i]));
    return length;
  }

  /// So many of the questions, from the first on, fit into a length.
  size_t fitting(int64_t length) const {
    if (length == 0) return questions_.size();
    const auto end = std::upper_bound(questions_.begin(), questions_.end(), length,
                                      [](int64_t l, const Listed& q) { return l < q.tokens; });
    if (end == questions_.begin())
      throw core::InputError(core::message(file_, ": no story fits into ", length,
                                           " tokens, expected at least ", questions_.front().tokens,
                                           " with this tokenizer"));
    return static_cast<size_t>(end - questions_.begin());
  }

  /// Appends facts and passage; where the last fact that answers the question begins.
  size_t weave(const Listed& chosen, const BackgroundText::Passage& passage,
               core::RandomStream& random, Tokens& out) const {
    const BabiStory& story = stories_[chosen.story];
    const BabiQuestion& question = story.questions[chosen.question];
    std::vector<size_t> places(question.facts);
    for (size_t& place : places) place = passage.borders[random.below(passage.borders.size())];
    std::sort(places.begin(), places.end());
    size_t evidence = out.size(), read = 0;
    const auto read_until = [&](size_t end) {
      out.insert(out.end(), passage.tokens.begin() + static_cast<ptrdiff_t>(read),
                 passage.tokens.begin() + static_cast<ptrdiff_t>(end));
      read = end;
    };
    for (size_t i = 0; i < places.size(); ++i) {
      read_until(places[i]);
      if (i == question.supports.back()) evidence = out.size();
      append(out, facts_.at(story.facts[i]));
    }
    read_until(passage.tokens.size());
    return evidence;
  }

  std::string file_;
  int number_;
  const Tokenizer& tokenizer_;
  const BackgroundText* background_;
  BabilongWording wording_;
  std::vector<BabiStory> stories_;
  Tokens head_;
  std::map<std::string, Tokens> facts_;
  std::vector<Listed> questions_;  // by tokens
  std::vector<size_t> different_;  // places in them, ascending
  std::set<std::string> labels_;
  uint64_t fingerprint_ = 0;
};

}  // namespace

std::unique_ptr<Task> make_babilong_task(const std::filesystem::path& file,
                                         const Tokenizer& tokenizer,
                                         const BackgroundText* background,
                                         const BabilongPrompt& prompt) {
  return std::make_unique<FileTask>(file, tokenizer, background, prompt);
}

}  // namespace longhaul::data
