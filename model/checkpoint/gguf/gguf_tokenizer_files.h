// The tokenizer of a GGUF file as the files that others, and longhaul tokenize, read.
#pragma once

#include <string>
#include <vector>

#include "model/checkpoint/gguf/gguf_header.h"
#include "model/checkpoint/model_writing.h"

namespace longhaul::model {

struct GgufTokenizerFiles {
  std::vector<BesideFile> files;  ///< tokenizer.json or tokenizer.model, and tokenizer_config.json
  TokenIds ids;                   ///< those that the file names
  std::string missing;            ///< why there are no files of a tokenizer that is there
};

/// tokenizer.json for byte-level BPE whose pre-tokenizer is known here, tokenizer.model for
/// SentencePiece's kinds. `name` is the file, for messages. Throws InputError where the keys
/// contradict each other.
GgufTokenizerFiles gguf_tokenizer_files(const GgufHeader& header, const std::string& name);

}  // namespace longhaul::model
