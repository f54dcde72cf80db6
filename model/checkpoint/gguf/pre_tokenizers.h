// llama.cpp's names for the ways to cut text before byte-level BPE merges.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longhaul::model {

struct PreTokenizer {
  std::string name;
  std::string pattern;  ///< of a Split whose matches and gaps are pieces, in the dialect of
                        ///< tokenizer.json; gpt-2's is that of ByteLevel itself
};

/// By the pattern of a tokenizer.json; none if it is not known.
std::optional<PreTokenizer> pre_tokenizer_with(std::string_view pattern);
/// By the name that a GGUF file gives (several for one pattern); none if it is not known.
std::optional<PreTokenizer> pre_tokenizer_of(std::string_view name);

}  // namespace longhaul::model
