#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "data/tokenizer.h"

namespace longhaul::data {

/// Byte-level BPE of a tokenizer.json, token for token as the tokenizers library does with
/// add_special_tokens=False. Throws InputError naming the part that is not understood.
std::unique_ptr<Tokenizer> make_byte_level_tokenizer(const std::filesystem::path& file,
                                                     const std::string& end_of_document);

}  // namespace longhaul::data
