// Passkey retrieval in the text format of Landmark Attention (Mohtashami & Jaggi 2023): a key of
// five digits, said twice, somewhere in sentences that say nothing; at the end it is asked for.
#include <algorithm>
#include <cmath>
#include <string_view>

#include "data/tasks/task_kind.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {

constexpr size_t kDigits = 5;

// The sentences of the format: results can be compared only if they are these.
constexpr std::string_view kDescription =
    "There is an important info hidden inside a lot of irrelevant text. Find it and memorize "
    "them. I will quiz you about the important information there.\n";
constexpr std::string_view kFiller =
    " The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
constexpr std::string_view kQuestion = "\nWhat is the pass key? The pass key is";

/// Five lines: what is to be done, filler, the key, filler, the question. Keys are drawn evenly
/// from 00000 to 99999; filler is cut to the token, so that lengths are exact; depth 0 puts the key
/// before all filler, 1 after it.
class PasskeyTask final : public Task {
 public:
  explicit PasskeyTask(const Tokenizer& tokenizer)
      : tokenizer_(tokenizer), description_(tokenizer.frame().before) {
    tokenizer.encode(kDescription, description_);
    tokenizer.encode_inside(kFiller, filler_);
    tokenizer.encode_inside(kQuestion, question_);
  }

  std::string name() const override { return "passkey"; }
  int64_t vocabulary() const override { return tokenizer_.vocabulary(); }
  uint64_t fingerprint() const override {
    return fingerprint_of("passkey " + tokenizer_identity(tokenizer_.name()));
  }

  Example example(const ExampleRequest& request) const override {
    core::RandomStream random(request.key);
    std::string key = std::to_string(random.below(100000));
    key.insert(0, kDigits - key.size(), '0');
    const double drawn = random.uniform();
    const double depth = request.depth < 0 ? drawn : std::min(request.depth, 1.0);

    Example example{.question = "What is the pass key?", .answer_text = key};
    tokenizer_.encode_inside(" " + key + ".", example.answer);
    std::vector<int32_t> line;
    tokenizer_.encode_inside(
        "\nThe pass key is " + key + ". Remember it. " + key + " is the pass key.\n", line);
    const size_t fixed = description_.size() + line.size() + question_.size() +
                         (request.with_answer ? example.answer.size() : 0);
    if (request.length < static_cast<int64_t>(fixed))
      throw core::InputError(core::message("passkey task: needs at least ", fixed,
                                           " tokens with the tokenizer '", tokenizer_.name(),
                                           "', the length is ", request.length));
    const size_t filler = static_cast<size_t>(request.length) - fixed;
    const auto before = static_cast<size_t>(std::llround(depth * static_cast<double>(filler)));
    example.prompt = description_;
    append_filler(before, example.prompt);
    example.depth =
        static_cast<double>(example.prompt.size()) / static_cast<double>(request.length);
    example.prompt.insert(example.prompt.end(), line.begin(), line.end());
    append_filler(filler - before, example.prompt);
    example.prompt.insert(example.prompt.end(), question_.begin(), question_.end());
    return example;
  }

 private:
  void append_filler(size_t count, std::vector<int32_t>& tokens) const {
    for (size_t i = 0; i < count; ++i) tokens.push_back(filler_[i % filler_.size()]);
  }

  const Tokenizer& tokenizer_;
  std::vector<int32_t> description_, filler_, question_;
};

class PasskeyKind final : public TaskKind {
 public:
  std::string name() const override { return "passkey"; }
  std::string help() const override { return "Finding a key of five digits, by length and depth"; }
  std::unique_ptr<TaskKind> clone() const override { return std::make_unique<PasskeyKind>(*this); }
  bool has_words() const override { return true; }
  bool has_depths() const override { return true; }
  std::vector<std::unique_ptr<Task>> make(const TaskInputs& inputs) const override {
    std::vector<std::unique_ptr<Task>> tasks;
    tasks.push_back(std::make_unique<PasskeyTask>(*inputs.tokenizer));
    return tasks;
  }
};

}  // namespace

std::unique_ptr<TaskKind> make_passkey_kind() { return std::make_unique<PasskeyKind>(); }

}  // namespace longhaul::data
