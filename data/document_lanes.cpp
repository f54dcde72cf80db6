#include "data/document_lanes.h"

#include <algorithm>

#include "data/position.h"
#include "data/position.pb.h"
#include "data/row_share.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
struct Chunk {
  int64_t begin = 0, count = 0;  // inputs; the label of the last is the token after them
  bool fresh = false;
};

class DocumentLanes : public BatchSource {
 public:
  DocumentLanes(const TokenData& folder, int64_t length, uint64_t seed, RowShare share)
      : folder_(folder), length_(length), seed_(seed), share_(share) {
    if (folder.tokens() == folder.documents())
      throw core::InputError(core::message(folder.path().string(), ": all of its ",
                                           folder.documents(),
                                           " documents are empty, expected one that is not"));
    lanes_.resize(static_cast<size_t>(share.global_rows()));
  }

  Batch next() override {
    Batch batch = empty_batch(share_.rows, length_);
    std::fill(batch.tokens.begin(), batch.tokens.end(), folder_.end_of_document());
    std::vector<int32_t> tokens;
    // Every rank moves every lane, so that any rank knows the whole position.
    for (int64_t lane = 0; lane < share_.global_rows(); ++lane) {
      const Chunk chunk = advance(lane);
      const int64_t row = lane - share_.data_rank * share_.rows;
      if (row < 0 || row >= share_.rows) continue;
      batch.fresh[static_cast<size_t>(row)] = chunk.fresh;
      tokens.resize(static_cast<size_t>(chunk.count) + 1);
      read_row(
          share_, {.row = row, .tokens = tokens, .vocabulary = vocabulary()},
          [&] { folder_.read(chunk.begin, tokens); }, batch);
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
    p.set_reset_at_documents(true);
    for (const Lane& lane : lanes_) {
      p.add_lane_epoch(lane.epoch);
      p.add_lane_offset(lane.offset);
    }
    return serialize(position);
  }

  void restore(const std::string& bytes) override {
    const proto::Position position = parse_position(bytes);
    PositionChecks checks;
    checks.same("kind of source", kind_of(position), "lanes");
    checks.require();
    const auto& p = position.lanes();
    checks.same("reset at documents", p.reset_at_documents(), true);
    checks.same_tokens(folder_, p.fingerprint());
    checks.same("sequence length", p.length(), length_);
    checks.same("seed", p.seed(), seed_);
    checks.same("number of lanes", p.lanes(), share_.global_rows());
    checks.same("number of lane epochs", p.lane_epoch_size(), share_.global_rows());
    checks.same("number of lane offsets", p.lane_offset_size(), share_.global_rows());
    checks.require();
    std::vector<Lane> lanes(lanes_.size());
    for (size_t i = 0; i < lanes.size(); ++i) {
      const auto lane = static_cast<int64_t>(i);
      lanes[i] = {.epoch = p.lane_epoch(static_cast<int>(i)),
                  .offset = p.lane_offset(static_cast<int>(i))};
      checks.within("epoch of a lane", lanes[i].epoch, int64_t{0}, kMostSteps);
      checks.within("offset of a lane", lanes[i].offset, int64_t{0},
                    share_begin(lane + 1) - share_begin(lane));
    }
    checks.require();
    lanes_ = std::move(lanes);
  }

  int64_t vocabulary() const override { return folder_.vocabulary(); }

 private:
  struct Lane {
    int64_t epoch = 0;
    int64_t offset = 0;  // tokens of the share that are behind it
  };

  /// Relative to the epoch's rotation.
  int64_t share_begin(int64_t lane) const {
    return static_cast<int64_t>(static_cast<__int128>(folder_.tokens()) * lane /
                                share_.global_rows());
  }

  int64_t document_of(int64_t token) const {
    int64_t low = 0, high = folder_.documents();  // begin(low) ≤ token < begin(high)
    while (high - low > 1) {
      const int64_t middle = low + (high - low) / 2;
      (folder_.document_begin(middle) <= token ? low : high) = middle;
    }
    return low;
  }

  /// The lane's next row. An end-of-document token is a label, never an input: nothing of its
  /// document follows it.
  Chunk advance(int64_t index) {
    Lane& lane = lanes_[static_cast<size_t>(index)];
    const int64_t begin = share_begin(index), size = share_begin(index + 1) - begin;
    for (;;) {
      if (lane.offset >= size) lane = {.epoch = lane.epoch + 1, .offset = 0};
      const int64_t token =
          (lane_rotation(folder_, seed_, lane.epoch) + begin + lane.offset) % folder_.tokens();
      const int64_t document = document_of(token);
      const int64_t inputs = folder_.document_begin(document + 1) - 1 - token;
      if (inputs == 0) {
        ++lane.offset;
        continue;
      }
      const Chunk chunk{.begin = token,
                        .count = std::min({length_, inputs, size - lane.offset}),
                        .fresh = lane.offset == 0 || token == folder_.document_begin(document)};
      lane.offset += chunk.count;
      return chunk;
    }
  }

  const TokenData& folder_;
  int64_t length_;
  uint64_t seed_;
  RowShare share_;
  std::vector<Lane> lanes_;  // of all data ranks
};
}  // namespace

std::unique_ptr<BatchSource> make_document_lanes(const TokenData& folder, int64_t length,
                                                 uint64_t seed, RowShare share) {
  return std::make_unique<DocumentLanes>(folder, length, seed, share);
}

}  // namespace longhaul::data
