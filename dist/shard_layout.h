// Which rank owns what of a flat buffer: optimizer state in shards (ZeRO-1).
#pragma once

#include <cstdint>
#include <vector>

namespace longhaul::dist {

/// Elements [begin, end) of a flat buffer.
struct Piece {
  int64_t begin = 0, end = 0;
  int64_t elements() const { return end - begin; }
};

struct ShardSetting {
  int64_t elements = 0;
  int ranks = 1;
  int64_t bucket = 1;  ///< elements of a bucket, rounded up to ranks · block
  int64_t block = 1;   ///< pieces consist of whole blocks, counted from element 0
};

/// The buffer is cut into buckets, each bucket into one piece a rank, in rank order. All buckets
/// but the last are cut evenly, so that reduce-scatter and all-gather work in place; the last is
/// shorter than ranks · block, and its pieces are one block each as far as it goes (it is summed
/// whole, and gathered through memory in which every rank has a block).
class ShardLayout {
 public:
  explicit ShardLayout(const ShardSetting& setting);

  struct Bucket {
    int64_t begin = 0, end = 0;
    int64_t piece =
        0;  ///< elements of a rank's piece; less, or none, at the end of the last bucket
    bool even = true;
  };

  int ranks() const { return setting_.ranks; }
  int64_t elements() const { return setting_.elements; }
  int64_t block() const { return setting_.block; }
  const ShardSetting& setting() const { return setting_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }  ///< in the order of the buffer
  Piece piece(const Bucket& bucket, int rank) const;
  /// Elements of the last bucket if it had a whole piece for every rank; 0 where it is even.
  int64_t padded() const;
  /// Elements that a rank owns, over all buckets.
  int64_t owned(int rank) const;

 private:
  ShardSetting setting_;
  std::vector<Bucket> buckets_;
};

}  // namespace longhaul::dist
