// The files of a tokenizer, so that whoever has its tokens can have it too.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace longhaul::data {

struct TokenizerFile {
  std::string name, text;
};

inline constexpr const char* kTokenizerConfig = "tokenizer_config.json";

/// How the files of a tokenizer can be called.
std::span<const char* const> tokenizer_file_names();

/// The tokenizer and what other programs read beside it, as far as `folder` holds it.
std::vector<std::filesystem::path> tokenizer_files_in(const std::filesystem::path& folder);

/// Of make_tokenizer's `specification`, under the names that find_tokenizer knows; none of "byte".
std::vector<TokenizerFile> read_tokenizer_files(const std::string& specification);

/// A tokenizer_config.json which says by what class transformers reads the tokenizer, or which is
/// no JSON object, so that nothing can be added.
bool names_tokenizer_class(std::string_view config);

/// That of `config`, which names none, with the class that reads a tokenizer's files as they are,
/// and with `end` ("": not known) for eos_token where it says nothing of that.
std::string with_tokenizer_class(const std::string& config, const std::string& end);

/// Makes the files say the end of document that was chosen for `tokenizer` by option.
void keep_end_of_document(const Tokenizer& tokenizer, std::vector<TokenizerFile>& files);

/// What tokenizer_identity says of a file of that text.
std::string identity_of_tokenizer_text(std::string_view text);

/// What Tokenizer::name() is of a file, without reading what is in it.
std::string name_of_tokenizer_file(const std::filesystem::path& file);

}  // namespace longhaul::data
