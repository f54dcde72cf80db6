// A tokenizer as llama.cpp's files carry it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/gguf/gguf_writer.h"

namespace longhaul::model {

/// tokenizer.ggml.token_type; the same numbers as SentencePiece's.
enum GgufTokenType : int32_t {
  kGgufNormal = 1,
  kGgufUnknown = 2,
  kGgufControl = 3,
  kGgufUserDefined = 4,
  kGgufUnused = 5,
  kGgufByte = 6,
};

struct GgufTokenizer {
  /// tokenizer.ggml.model: "gpt2" (byte-level BPE), "llama" (BPE of SentencePiece), "t5" (its
  /// Unigram), or "none": ids only
  std::string model = "none";
  std::string pre;  ///< tokenizer.ggml.pre: how text is split before merging
  std::vector<std::string> tokens;
  std::vector<int32_t> types;       ///< GgufTokenType
  std::vector<std::string> merges;  ///< gpt2
  /// llama and t5
  struct Pieces {
    std::vector<float> scores;
    bool add_space_prefix = true;
    bool remove_extra_whitespaces = false;
    std::string charsmap;  ///< how text is normalised, in SentencePiece's own form; t5 only
  };
  Pieces pieces;
  bool add_bos = false, add_eos = false;
  std::map<std::string, int64_t> special;  ///< "bos" → id
  std::string chat_template;
  std::vector<std::string> notes;  ///< what llama.cpp does otherwise
};

/// Of a folder's tokenizer.json (byte-level BPE) or else tokenizer.model (SentencePiece), with
/// tokenizer_config.json, for an embedding of `rows`. `pre`: name of the pre-tokenizer of
/// byte-level BPE; "" finds it by its pattern. Throws InputError naming the part that llama.cpp
/// cannot express.
GgufTokenizer read_gguf_tokenizer(const std::filesystem::path& folder, int64_t rows,
                                  const std::string& pre);

/// Of a SentencePiece model file alone.
GgufTokenizer read_gguf_pieces(const std::filesystem::path& file, int64_t rows);

/// As llama.cpp's converter finds it in a tokenizer's folder: in tokenizer_config.json, else
/// chat_template.jinja. None stays none.
void read_chat_template(const std::filesystem::path& folder, GgufTokenizer& tokenizer);

/// Bytes as tokens 0 to 255, end of document 256: byte-level BPE without merges.
GgufTokenizer byte_gguf_tokenizer(int64_t rows);

void append_tokenizer(const GgufTokenizer& tokenizer, GgufKeys& keys);

}  // namespace longhaul::model
