// String copying: "$" a string "|" and the same string, then ".". Jelassi et al., "Repeat After
// Me: Transformers are Better than State Space Models at Copying", ICML 2024: letters drawn evenly,
// several examples to a training row, the rest of the row filled with "*", loss on the copies.
#include <algorithm>

#include "data/tasks/task_kind.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {

constexpr double kMost = 999999;  // letters

struct CopySettings {
  int64_t letters = 26, shortest = 1, longest = 50;
};

/// Tokens of an example whose string has `letters` letters.
constexpr int64_t prompt_length(int64_t letters) { return letters + 2; }
constexpr int64_t example_length(int64_t letters) { return 2 * letters + 3; }

/// Examples of any length from 3 on (5 with the answer; an even one begins with a "*"); training
/// rows hold strings of `shortest` to `longest` letters, as many as fit.
class CopyTask final : public Task {
 public:
  explicit CopyTask(const CopySettings& settings) : config_(settings) {}

  std::string name() const override { return "copy"; }
  int64_t vocabulary() const override { return config_.letters + 4; }
  uint64_t fingerprint() const override {
    return fingerprint_of(
        core::message("copy ", config_.letters, " ", config_.shortest, " ", config_.longest));
  }

  Example example(const ExampleRequest& request) const override {
    const int64_t room = request.length - (request.with_answer ? 3 : 2);
    const int64_t letters = request.with_answer ? room / 2 : room;
    if (letters < 1)
      throw core::InputError(core::message("copy task: has no example of ", request.length,
                                           " tokens, expected at least ",
                                           request.with_answer ? 5 : 3));
    core::RandomStream random(request.key);
    Example example = draw(letters, random);
    if (request.with_answer && room % 2 != 0)
      example.prompt.insert(example.prompt.begin(), symbol(3));
    return example;
  }

  void write_row(const core::RandomKey& key, std::span<int32_t> tokens,
                 std::span<int32_t> labels) const override {
    if (std::ssize(tokens) < example_length(config_.longest))
      throw core::InputError(core::message(
          "copy task: a row of ", tokens.size(), " tokens has no room for a string of ",
          config_.longest, " letters, expected at least ", example_length(config_.longest)));
    std::fill(tokens.begin(), tokens.end(), symbol(3));
    std::fill(labels.begin(), labels.end(), -1);
    core::RandomStream random(key);
    const auto choices = static_cast<uint64_t>(config_.longest - config_.shortest + 1);
    for (int64_t begin = 0;;) {
      const int64_t letters = config_.shortest + static_cast<int64_t>(random.below(choices));
      if (begin + example_length(letters) > std::ssize(tokens)) return;
      write_example(draw(letters, random), static_cast<size_t>(begin), tokens, labels);
      begin += example_length(letters);
    }
  }

 private:
  int32_t symbol(int64_t which) const { return static_cast<int32_t>(config_.letters + which); }

  Example draw(int64_t letters, core::RandomStream& random) const {
    Example example;
    example.prompt.push_back(symbol(0));
    for (int64_t i = 0; i < letters; ++i)
      example.prompt.push_back(
          static_cast<int32_t>(random.below(static_cast<uint64_t>(config_.letters))));
    example.answer.assign(example.prompt.begin() + 1, example.prompt.end());
    example.prompt.push_back(symbol(1));
    example.answer.push_back(symbol(2));
    return example;
  }

  CopySettings config_;
};

class CopyKind final : public TaskKind {
 public:
  std::string name() const override { return "copy"; }
  std::string help() const override { return "Saying strings again: right letters by length"; }
  std::unique_ptr<TaskKind> clone() const override { return std::make_unique<CopyKind>(*this); }

  std::unique_ptr<TaskKind> for_evaluation() const override {
    auto kind = std::make_unique<CopyKind>(*this);
    kind->is_for_evaluation_ = true;
    return kind;
  }

  std::vector<std::unique_ptr<Task>> make(const TaskInputs&) const override {
    core::Problems wrong = problems();
    for (std::string& each : wrong) each = "copy task: " + each;
    if (!wrong.empty()) throw core::InputError(wrong);
    std::vector<std::unique_ptr<Task>> tasks;
    CopySettings settings = settings_;
    if (is_for_evaluation_) settings.shortest = settings.longest = 1;  // of training rows alone
    tasks.push_back(std::make_unique<CopyTask>(settings));
    return tasks;
  }

  void visit(core::FieldVisitor& v) override {
    v.field("letters", settings_.letters, "size of the alphabet", core::Within{2, kMost});
    if (!is_for_evaluation_) {
      v.field("shortest", settings_.shortest, "letters of the shortest training string",
              core::AtLeast{1});
    }
    v.field("longest", settings_.longest, "letters of the longest training string",
            core::Within{1, kMost});
  }
  core::Problems problems() const override {
    if (is_for_evaluation_ || settings_.shortest <= settings_.longest) return {};
    return {core::message("shortest: must be at most data.copy.longest (", settings_.longest,
                          "), is ", settings_.shortest)};
  }
  LeastRow least_row() const override {
    return {
        .tokens = example_length(settings_.longest),
        .holds = core::message("strings of ", settings_.longest, " letters (data.copy.longest)")};
  }

  std::string example() const override { return "--trials 100"; }
  std::string lengths_help() const override {
    return "letters of a string, as 50,100,200; default: up to four times the longest of training";
  }
  int64_t least_length() const override { return 1; }
  int64_t prompt_of(int64_t length) const override { return prompt_length(length); }
  int64_t longest_trained(int64_t) const override { return settings_.longest; }
  std::vector<int64_t> usual_lengths() const override {
    std::vector<int64_t> lengths;
    for (const double multiple : {0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0}) {
      const double letters = multiple * static_cast<double>(settings_.longest);
      lengths.push_back(std::max<int64_t>(1, static_cast<int64_t>(letters)));
    }
    return lengths;
  }

 private:
  CopySettings settings_;
  bool is_for_evaluation_ = false;
};

}  // namespace

std::unique_ptr<TaskKind> make_copy_kind() { return std::make_unique<CopyKind>(); }

}  // namespace longhaul::data
