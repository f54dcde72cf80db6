// The tokenizer `byte` as other programs can express it: byte-level BPE without merges.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::model {

inline constexpr int32_t kByteEndOfDocument = 256;
inline constexpr const char* kByteEndOfDocumentText = "<|endoftext|>";

/// What byte-level BPE writes for the bytes 0 to 255: UTF-8 of the byte's own character where that
/// is printable in Latin-1, else of the next free one from U+0100 on.
std::vector<std::string> byte_level_characters();

/// tokenizer.json and tokenizer_config.json, for transformers and whoever reads theirs.
std::string byte_tokenizer_json();
std::string byte_tokenizer_config_json();

}  // namespace longhaul::model
