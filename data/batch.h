// What a training or evaluation step reads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::data {

/// `sequences` rows of `length` tokens. labels[i] is the token that follows tokens[i] (shifted
/// before any sharding), −1 where nothing is to be predicted. fresh[s] = 1 if row s does not
/// continue the row of the batch before (TBTT starts it from zero).
struct Batch {
  int64_t sequences = 0;
  int64_t length = 0;
  std::vector<int32_t> tokens;  // [sequences, length]
  std::vector<int32_t> labels;  // [sequences, length]
  std::vector<uint8_t> fresh;   // [sequences]
};

/// An endless stream of batches for one data rank. Deterministic in (configuration, position): the
/// global batch of a step is the same whatever the number of data ranks, which take its rows in
/// order.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual Batch next() = 0;
  /// Everything needed to continue at the exact next sample, also on another number of data ranks
  /// (serialised Protobuf).
  virtual std::string position() const = 0;
  /// Throws InputError if the position was made by another kind of source or from other data.
  virtual void restore(const std::string& position) = 0;
  virtual int64_t vocabulary() const = 0;
};

}  // namespace longhaul::data
