#include "data/tasks/copy_task.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "kernels/core/fields.h"

namespace longhaul::data {

namespace {
class CopyTask final : public Task {
 public:
  explicit CopyTask(const CopyConfig& config) : config_(config) {
    core::Problems problems;
    if (config.letters < 2)
      problems.push_back(
          core::message("copy task: letters: must be at least 2, is ", config.letters));
    if (config.shortest < 1 || config.shortest > config.longest)
      problems.push_back(core::message("copy task: shortest: must be from 1 to longest (",
                                       config.longest, "), is ", config.shortest));
    if (!problems.empty()) throw core::InputError(problems);
  }

  std::string name() const override { return "copy"; }
  int64_t vocabulary() const override { return config_.vocabulary(); }
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
    if (std::ssize(tokens) < copy_example_length(config_.longest))
      throw core::InputError(core::message(
          "copy task: a row of ", tokens.size(), " tokens has no room for a string of ",
          config_.longest, " letters, expected at least ", copy_example_length(config_.longest)));
    std::fill(tokens.begin(), tokens.end(), symbol(3));
    std::fill(labels.begin(), labels.end(), -1);
    core::RandomStream random(key);
    const auto choices = static_cast<uint64_t>(config_.longest - config_.shortest + 1);
    for (int64_t begin = 0;;) {
      const int64_t letters = config_.shortest + static_cast<int64_t>(random.below(choices));
      if (begin + copy_example_length(letters) > std::ssize(tokens)) return;
      write_example(draw(letters, random), static_cast<size_t>(begin), tokens, labels);
      begin += copy_example_length(letters);
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

  CopyConfig config_;
};
}  // namespace

std::unique_ptr<Task> make_copy_task(const CopyConfig& config) {
  return std::make_unique<CopyTask>(config);
}

}  // namespace longhaul::data
