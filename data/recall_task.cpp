#include "data/recall_task.h"

#include <algorithm>
#include <vector>

#include "data/position.h"
#include "data/position.pb.h"
#include "data/recall_generator.h"
#include "data/row_share.h"
#include "kernels/core/random.h"

namespace longhaul::data {

namespace {
class RecallSource : public BatchSource {
 public:
  RecallSource(const RecallTask& task, int64_t length, uint64_t seed, RowShare share,
               bool contiguous)
      : task_(task), length_(length), seed_(seed), share_(share), contiguous_(contiguous) {
    check_task(task);
    check_recall_length(length);
    check_share(share, length);
    // Every rank draws every lane, so that any rank knows the whole position.
    for (int64_t row = 0; contiguous && row < share.global_rows(); ++row)
      lanes_.push_back(start(row));
  }

  Batch next() override {
    Batch batch = empty_batch(share_.rows, length_);
    std::fill(batch.fresh.begin(), batch.fresh.end(),
              static_cast<uint8_t>(!contiguous_ || sequence_ == 0));
    const int64_t first = share_.data_rank * share_.rows;
    for (int64_t row = 0; row < share_.rows; ++row) {
      int32_t* tokens = batch.tokens.data() + row * length_;
      int32_t* labels = batch.labels.data() + row * length_;
      if (contiguous_)
        lanes_[static_cast<size_t>(first + row)].write(length_ / 2, tokens, labels);
      else
        start(sequence_ + first + row).write(length_ / 2, tokens, labels);
    }
    if (contiguous_) skip_others(first);
    sequence_ += share_.global_rows();
    return batch;
  }

  std::string position() const override {
    proto::Position position;
    auto& p = *position.mutable_recall();
    p.set_keys(task_.keys);
    p.set_values(task_.values);
    p.set_reach(task_.reach);
    p.set_query_fraction(task_.query_fraction);
    p.set_length(length_);
    p.set_seed(seed_);
    p.set_contiguous(contiguous_);
    p.set_sequence(sequence_);
    for (const RecallGenerator& lane : lanes_) {
      const auto state = lane.state();
      auto& row = *p.add_rows();
      row.set_pairs(state.pairs);
      row.set_draws(state.draws);
      row.set_query(state.query);
      row.mutable_window_keys()->Assign(state.window_keys.begin(), state.window_keys.end());
      row.mutable_window_values()->Assign(state.window_values.begin(), state.window_values.end());
    }
    return serialize(position);
  }

  void restore(const std::string& bytes) override {
    const proto::Position position = parse_position(bytes);
    PositionChecks checks;
    checks.same("kind of source", kind_of(position), "recall task");
    checks.require();
    const auto& p = position.recall();
    checks.same("number of keys", p.keys(), task_.keys);
    checks.same("number of values", p.values(), task_.values);
    checks.same("reach", p.reach(), task_.reach);
    checks.same("query fraction", p.query_fraction(), task_.query_fraction);
    checks.same("sequence length", p.length(), length_);
    checks.same("seed", p.seed(), seed_);
    checks.same("contiguous", p.contiguous(), contiguous_);
    checks.same("number of lanes", p.rows_size(), std::ssize(lanes_));
    checks.within("sequence", p.sequence(), int64_t{0}, kMostSteps);
    checks.require();
    std::vector<RecallGenerator> lanes = lanes_;
    for (size_t i = 0; i < lanes.size(); ++i) {
      const auto& row = p.rows(static_cast<int>(i));
      lanes[i].restore({.pairs = row.pairs(),
                        .draws = row.draws(),
                        .query = row.query(),
                        .window_keys = {row.window_keys().begin(), row.window_keys().end()},
                        .window_values = {row.window_values().begin(), row.window_values().end()}});
    }
    lanes_ = std::move(lanes);
    sequence_ = p.sequence();
  }

  int64_t vocabulary() const override { return task_.vocabulary(); }

 private:
  RecallGenerator start(int64_t sequence) const {
    return {
        task_, {seed_, static_cast<uint64_t>(sequence), core::RandomPurpose::kSyntheticTask}, 0};
  }

  void skip_others(int64_t first) {
    std::vector<int32_t> unused(static_cast<size_t>(2 * length_));
    for (int64_t row = 0; row < share_.global_rows(); ++row)
      if (row < first || row >= first + share_.rows)
        lanes_[static_cast<size_t>(row)].write(length_ / 2, unused.data(), unused.data() + length_);
  }

  RecallTask task_;
  int64_t length_;
  uint64_t seed_;
  RowShare share_;
  bool contiguous_;
  std::vector<RecallGenerator> lanes_;  // contiguous: of all data ranks
  // Number of the next batch's first row: counted through the run, so that accumulation in smaller
  // batches reads the same.
  int64_t sequence_ = 0;
};
}  // namespace

std::unique_ptr<BatchSource> make_recall_source(const RecallTask& task, int64_t length,
                                                uint64_t seed, RowShare share, bool contiguous) {
  return std::make_unique<RecallSource>(task, length, seed, share, contiguous);
}

struct RecallStream::State {
  RecallGenerator generator;
};

RecallStream::RecallStream(const RecallTask& task, uint64_t seed, uint64_t stream) {
  check_task(task);
  state_ = std::make_unique<State>(
      State{RecallGenerator(task, {seed, stream, core::RandomPurpose::kEvaluation}, 0)});
}
RecallStream::~RecallStream() = default;

void RecallStream::next(int64_t length, int32_t* tokens, int32_t* labels) {
  check_recall_length(length);
  state_->generator.write(length / 2, tokens, labels);
}

}  // namespace longhaul::data
