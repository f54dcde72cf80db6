// SentencePiece model files put together by hand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::testing {

struct PieceToStore {
  std::string text;
  float score = 0;
  int type = 1;
};

inline std::string protobuf_field(int number, const std::string& bytes) {
  std::string field;
  for (uint64_t tag = static_cast<uint64_t>(number) << 3 | 2; tag != 0; tag >>= 7) {
    field += static_cast<char>((tag & 0x7f) | (tag > 0x7f ? 0x80 : 0));
  }
  return field + static_cast<char>(bytes.size()) + bytes;  // shorter than 128 bytes
}

inline std::string protobuf_field(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};  // both small
}

/// `training` and `normalizer`: fields of those parts.
inline std::string sentencepiece_bytes(const std::vector<PieceToStore>& pieces,
                                       const std::string& training, const std::string& normalizer) {
  std::string bytes;
  for (const PieceToStore& piece : pieces) {
    std::string part = protobuf_field(1, piece.text) + static_cast<char>(2 << 3 | 5);
    part.append(reinterpret_cast<const char*>(&piece.score), sizeof(float));
    bytes += protobuf_field(1, part + protobuf_field(3, piece.type));
  }
  return bytes + protobuf_field(2, training) + protobuf_field(3, normalizer);
}

}  // namespace longhaul::testing
