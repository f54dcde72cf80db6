#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "data/tokenizer.h"

namespace longhaul::data {

/// The model file of a SentencePiece tokenizer, read and used by the SentencePiece library. Throws
/// InputError if it is none.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const std::filesystem::path& file,
                                                        const std::string& end_of_document);

}  // namespace longhaul::data
