// A tokenizer as llama.cpp's files carry it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/gguf/gguf_writer.h"

namespace longhaul::model {

struct GgufTokenizer {
  std::string model = "none";  ///< tokenizer.ggml.model: "gpt2", or "none": ids only
  std::string pre;             ///< tokenizer.ggml.pre: how text is split before merging
  std::vector<std::string> tokens;
  std::vector<int32_t> types;  ///< 1 normal, 3 control, 4 user-defined, 5 unused
  std::vector<std::string> merges;
  std::map<std::string, int64_t> special;  ///< "bos" → id
  std::string chat_template;
  std::vector<std::string> notes;  ///< what llama.cpp does otherwise
};

/// Of a folder's tokenizer.json (byte-level BPE) with tokenizer_config.json, for an embedding of
/// `rows`. `pre`: name of the pre-tokenizer; "" finds it by its pattern. Throws InputError naming
/// the part that llama.cpp cannot express.
GgufTokenizer read_gguf_tokenizer(const std::filesystem::path& folder, int64_t rows,
                                  const std::string& pre);

/// Bytes as tokens 0 to 255, end of document 256: byte-level BPE without merges.
GgufTokenizer byte_gguf_tokenizer(int64_t rows);

void append_tokenizer(const GgufTokenizer& tokenizer, GgufKeys& keys);

}  // namespace longhaul::model
