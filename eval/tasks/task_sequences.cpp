#include "eval/tasks/task_sequences.h"

#include <string>

namespace longhaul::eval {

namespace {

class ExampleReader final : public SequenceReader {
 public:
  ExampleReader(const data::Task& task, int64_t length, const core::RandomKey& key)
      : tokens_(static_cast<size_t>(length)), labels_(static_cast<size_t>(length), -1) {
    const data::Example example = task.example({.length = length, .with_answer = true, .key = key});
    data::write_example(example, 0, tokens_, labels_);
  }

  void next(int64_t length, LabelledTokens& out) override {
    const auto take = [&](const std::vector<int32_t>& from, std::vector<int32_t>& to) {
      to.assign(from.begin() + position_, from.begin() + position_ + length);
    };
    take(tokens_, out.tokens);
    take(labels_, out.labels);
    position_ += length;
  }

 private:
  std::vector<int32_t> tokens_, labels_;
  int64_t position_ = 0;
};

}  // namespace

Sequences task_sequences(const data::Task& task, const CurveOptions& options) {
  return {.count = options.sequences,
          .task = task.name(),
          .source = task.name() + " task",
          .reader_of =
              [&task, length = options.length, seed = options.seed](int64_t sequence) {
                const core::RandomKey key{seed, static_cast<uint64_t>(sequence),
                                          core::RandomPurpose::kEvaluation};
                return std::make_unique<ExampleReader>(task, length, key);
              },
          .vocabulary = task.vocabulary(),
          .identity = {{"fingerprint", std::to_string(task.fingerprint())}}};
}

}  // namespace longhaul::eval
