#include <algorithm>

#include "data/permutation.h"
#include "data/position.h"
#include "data/position.pb.h"
#include "data/row_share.h"
#include "data/samplers.h"
#include "kernels/core/error.h"
#include "kernels/core/random.h"

namespace longhaul::data {

namespace {
/// Draws for an epoch's offset lie beyond all indices that a Permutation uses.
constexpr uint64_t kOffsetDraw = uint64_t{1} << 63;

class RandomSampler : public BatchSource {
 public:
  RandomSampler(const TokenData& folder, int64_t length, uint64_t seed, RowShare share)
      : folder_(folder), length_(length), seed_(seed), share_(share) {
    check_share(share, length);
    require_tokens(folder, length, core::message("one sequence of ", length));
  }

  Batch next() override {
    Batch batch = empty_batch(share_.rows, length_);
    std::vector<int32_t> window(static_cast<size_t>(length_) + 1);
    skip(share_.data_rank * share_.rows);
    for (int64_t row = 0; row < share_.rows; ++row) {
      read_row(
          share_, {.row = row, .tokens = window, .vocabulary = vocabulary()},
          [&] { folder_.read(window_begin(), window); }, batch);
      batch.fresh[static_cast<size_t>(row)] = 1;
      skip(1);
    }
    skip((share_.data_ranks - 1 - share_.data_rank) * share_.rows);
    return batch;
  }

  std::string position() const override {
    proto::Position position;
    auto& p = *position.mutable_random_windows();
    p.set_fingerprint(folder_.fingerprint());
    p.set_length(length_);
    p.set_seed(seed_);
    p.set_epoch(epoch_);
    p.set_window(window_);
    return serialize(position);
  }

  void restore(const std::string& bytes) override {
    const proto::Position position = parse_position(bytes);
    PositionChecks checks;
    checks.same("kind of source", kind_of(position), "random windows");
    checks.require();
    const auto& p = position.random_windows();
    checks.same_tokens(folder_, p.fingerprint());
    checks.same("sequence length", p.length(), length_);
    checks.same("seed", p.seed(), seed_);
    checks.within("epoch", p.epoch(), int64_t{0}, kMostSteps);
    checks.require();
    checks.within("window", p.window(), int64_t{0}, windows(p.epoch()) - 1);
    checks.require();
    epoch_ = p.epoch();
    window_ = p.window();
  }

  int64_t vocabulary() const override { return folder_.vocabulary(); }

 private:
  core::RandomKey key(int64_t epoch) const {
    return {seed_, static_cast<uint64_t>(epoch), core::RandomPurpose::kSampler};
  }
  int64_t offset(int64_t epoch) const {
    const int64_t choices = std::min(length_, folder_.tokens() - length_);
    return static_cast<int64_t>(
        core::uniform_below(key(epoch), kOffsetDraw, static_cast<uint64_t>(choices)));
  }
  int64_t windows(int64_t epoch) const { return (folder_.tokens() - 1 - offset(epoch)) / length_; }
  int64_t window_begin() const {
    const Permutation order(key(epoch_), static_cast<uint64_t>(windows(epoch_)));
    return offset(epoch_) + static_cast<int64_t>(order(static_cast<uint64_t>(window_))) * length_;
  }
  /// Past `rows` rows of the global stream of rows; a batch may hold the end of one epoch and the
  /// beginning of the next.
  void skip(int64_t rows) {
    window_ += rows;
    for (int64_t count = windows(epoch_); window_ >= count; count = windows(epoch_)) {
      window_ -= count;
      ++epoch_;
    }
  }

  const TokenData& folder_;
  int64_t length_;
  uint64_t seed_;
  RowShare share_;
  int64_t epoch_ = 0, window_ = 0;  // of the next global row
};
}  // namespace

std::unique_ptr<BatchSource> make_random_sampler(const TokenData& folder, int64_t length,
                                                 uint64_t seed, RowShare share) {
  return std::make_unique<RandomSampler>(folder, length, seed, share);
}

}  // namespace longhaul::data
