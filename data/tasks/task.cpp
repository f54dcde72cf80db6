#include "data/tasks/task.h"

#include <glog/logging.h>

#include <algorithm>

#include "data/position.h"
#include "data/position.pb.h"
#include "data/row_share.h"

namespace longhaul::data {

namespace {
class TaskSource : public BatchSource {
 public:
  TaskSource(const Task& task, int64_t length, uint64_t seed, RowShare share, bool contiguous)
      : task_(task), length_(length), seed_(seed), share_(share), contiguous_(contiguous) {
    check_share(share, length);
    Batch row = empty_batch(1, length);  // refuses a length that the task does not have
    task.write_row(key_of(0), row.tokens, row.labels);
  }

  Batch next() override {
    Batch batch = empty_batch(share_.rows, length_);
    std::fill(batch.fresh.begin(), batch.fresh.end(),
              static_cast<uint8_t>(!contiguous_ || sequence_ == 0));
    const auto width = static_cast<size_t>(length_);
    for (int64_t row = 0; row < share_.rows; ++row) {
      const size_t begin = static_cast<size_t>(row) * width;
      task_.write_row(key_of(sequence_ + share_.data_rank * share_.rows + row),
                      std::span(batch.tokens).subspan(begin, width),
                      std::span(batch.labels).subspan(begin, width));
    }
    sequence_ += share_.global_rows();
    return batch;
  }

  std::string position() const override {
    proto::Position position;
    auto& p = *position.mutable_task();
    p.set_name(task_.name());
    p.set_fingerprint(task_.fingerprint());
    p.set_length(length_);
    p.set_seed(seed_);
    p.set_contiguous(contiguous_);
    p.set_sequence(sequence_);
    return serialize(position);
  }

  void restore(const std::string& bytes) override {
    const proto::Position position = parse_position(bytes);
    PositionChecks checks;
    checks.same("kind of source", kind_of(position), "task");
    checks.require();
    const auto& p = position.task();
    checks.same("task", p.name(), task_.name());
    checks.same("fingerprint of the task (tokenizer, data.folder, stories)", p.fingerprint(),
                task_.fingerprint());
    checks.same("sequence length", p.length(), length_);
    checks.same("seed", p.seed(), seed_);
    checks.same("contiguous", p.contiguous(), contiguous_);
    checks.within("sequence", p.sequence(), int64_t{0}, kMostSteps);
    checks.require();
    sequence_ = p.sequence();
  }

  int64_t vocabulary() const override { return task_.vocabulary(); }

 private:
  core::RandomKey key_of(int64_t sequence) const {
    return {seed_, static_cast<uint64_t>(sequence), core::RandomPurpose::kSyntheticTask};
  }

  const Task& task_;
  int64_t length_;
  uint64_t seed_;
  RowShare share_;
  bool contiguous_;
  int64_t sequence_ = 0;  // number of the next batch's first row, through the run
};
}  // namespace

void Task::write_row(const core::RandomKey& key, std::span<int32_t> tokens,
                     std::span<int32_t> labels) const {
  std::fill(labels.begin(), labels.end(), -1);
  const auto length = static_cast<int64_t>(tokens.size());
  write_example(example({.length = length, .with_answer = true, .key = key}), 0, tokens, labels);
}

void write_example(const Example& example, size_t begin, std::span<int32_t> tokens,
                   std::span<int32_t> labels) {
  CHECK(!example.prompt.empty());
  CHECK_LE(begin + example.prompt.size() + example.answer.size(), tokens.size());
  const size_t answer = begin + example.prompt.size();
  std::copy(example.prompt.begin(), example.prompt.end(),
            tokens.begin() + static_cast<ptrdiff_t>(begin));
  std::copy(example.answer.begin(), example.answer.end(),
            tokens.begin() + static_cast<ptrdiff_t>(answer));
  std::copy(example.answer.begin(), example.answer.end(),
            labels.begin() + static_cast<ptrdiff_t>(answer) - 1);
}

std::unique_ptr<BatchSource> make_task_source(const Task& task, int64_t length, uint64_t seed,
                                              RowShare share, bool contiguous) {
  return std::make_unique<TaskSource>(task, length, seed, share, contiguous);
}

uint64_t fingerprint_of(std::string_view bytes, uint64_t before) {
  constexpr uint64_t kPrime = 1099511628211ull;
  for (const char c : bytes) before = (before ^ static_cast<uint8_t>(c)) * kPrime;
  return before;
}

}  // namespace longhaul::data
