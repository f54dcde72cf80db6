#include <glog/logging.h>

#include <algorithm>

#include "data/document_lanes.h"
#include "data/position.h"
#include "data/position.pb.h"
#include "data/row_share.h"
#include "data/samplers.h"
#include "kernels/core/error.h"
#include "kernels/core/random.h"

namespace longhaul::data {

int64_t lane_rotation(const TokenData& folder, uint64_t seed, int64_t epoch) {
  return static_cast<int64_t>(
      core::uniform_below({seed, static_cast<uint64_t>(epoch), core::RandomPurpose::kSampler}, 0,
                          static_cast<uint64_t>(folder.tokens())));
}

namespace {
/// The tokens are a ring: what follows the last document is the first one.
class LaneSampler : public BatchSource {
 public:
  LaneSampler(const TokenData& folder, int64_t length, uint64_t seed, RowShare share)
      : folder_(folder), length_(length), seed_(seed), share_(share) {
    steps_ = folder.tokens() / (length * share.global_rows());
    LOG_IF(WARNING, steps_ == 1 && share.data_rank == 0)
        << "the data makes lanes of a single sequence each (" << folder.tokens() << " tokens, "
        << share.global_rows() << " lanes, sequences of " << length
        << "): all begin from zero, and TBTT is no other than zero";
  }

  Batch next() override {
    Batch batch = empty_batch(share_.rows, length_);
    std::fill(batch.fresh.begin(), batch.fresh.end(), static_cast<uint8_t>(step_ == 0));
    const int64_t first = lane_rotation(folder_, seed_, epoch_) + step_ * length_;
    std::vector<int32_t> tokens(static_cast<size_t>(length_) + 1);
    for (int64_t row = 0; row < share_.rows; ++row) {
      const int64_t lane = share_.data_rank * share_.rows + row;
      const int64_t begin = (first + lane * steps_ * length_) % folder_.tokens();
      read_row(
          share_, {.row = row, .tokens = tokens, .vocabulary = vocabulary()},
          [&] { read_ring(begin, tokens); }, batch);
    }
    if (++step_ == steps_) {
      step_ = 0;
      ++epoch_;
    }
    return batch;
  }

  std::string position() const override {
    proto::Position position;
    auto& p = *position.mutable_lanes();
    p.set_fingerprint(folder_.fingerprint());
    p.set_length(length_);
    p.set_seed(seed_);
    p.set_lanes(share_.global_rows());
    p.set_epoch(epoch_);
    p.set_step(step_);
    return serialize(position);
  }

  void restore(const std::string& bytes) override {
    const proto::Position position = parse_position(bytes);
    PositionChecks checks;
    checks.same("kind of source", kind_of(position), "lanes");
    checks.require();
    const auto& p = position.lanes();
    checks.same("reset at documents", p.reset_at_documents(), false);
    checks.same_tokens(folder_, p.fingerprint());
    checks.same("sequence length", p.length(), length_);
    checks.same("seed", p.seed(), seed_);
    checks.same("number of lanes", p.lanes(), share_.global_rows());
    checks.within("epoch", p.epoch(), int64_t{0}, kMostSteps);
    checks.within("step", p.step(), int64_t{0}, steps_ - 1);
    checks.require();
    epoch_ = p.epoch();
    step_ = p.step();
  }

  int64_t vocabulary() const override { return folder_.vocabulary(); }

 private:
  void read_ring(int64_t begin, std::span<int32_t> out) const {
    const auto before_end =
        static_cast<size_t>(std::min<int64_t>(std::ssize(out), folder_.tokens() - begin));
    folder_.read(begin, out.first(before_end));
    folder_.read(0, out.subspan(before_end));
  }

  const TokenData& folder_;
  int64_t length_;
  uint64_t seed_;
  RowShare share_;
  int64_t steps_;  // of an epoch
  int64_t epoch_ = 0, step_ = 0;
};
}  // namespace

std::unique_ptr<BatchSource> make_lane_sampler(const TokenData& folder, int64_t length,
                                               uint64_t seed, RowShare share, LaneOptions options) {
  check_share(share, length);
  require_tokens(folder, share.global_rows() * length,
                 core::message(share.global_rows(), " lanes of sequences of ", length));
  if (options.reset_at_documents) return make_document_lanes(folder, length, seed, share);
  return std::make_unique<LaneSampler>(folder, length, seed, share);
}

}  // namespace longhaul::data
