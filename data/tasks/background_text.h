// Running text that facts are hidden in: whole sentences out of any tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "data/token_data.h"
#include "data/tokenizer.h"
#include "kernels/core/random.h"

namespace longhaul::data {

class BackgroundText {
 public:
  /// InputError if the tokens are those of another tokenizer. Both must outlive this.
  BackgroundText(const TokenData& tokens, const Tokenizer& tokenizer);

  struct Passage {
    std::vector<int32_t> tokens;
    std::vector<size_t> borders;  ///< 0 and where sentences end; none at a cut
  };
  /// `length` tokens from the beginning of a sentence drawn at random, the last one cut; ends of
  /// documents are left out. InputError if there are fewer tokens than that.
  Passage passage(int64_t length, core::RandomStream& random) const;

  uint64_t fingerprint() const { return tokens_.earlier_fingerprint(); }

 private:
  bool ends_sentence(int32_t token, int32_t next) const;

  const TokenData& tokens_;
  int32_t end_of_document_;
  enum Mark : uint8_t { kStops = 1, kEndsInSpace = 2, kBeginsWithSpace = 4 };
  std::vector<uint8_t> marks_;  // [vocabulary]
};

}  // namespace longhaul::data
