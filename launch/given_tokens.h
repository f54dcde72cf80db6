// What tokens say of themselves, held against what options and models say.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "data/token_data.h"
#include "data/tokenizer.h"

namespace longhaul::launch {

/// A tokenizer's name (data::Tokenizer::name; "" where it is not known), and who says it.
struct NamedTokenizer {
  std::string by, name;
};

/// By its name: longhaul's own tokenizer of bytes, also as export writes it.
bool is_byte_tokenizer(const std::string& name);

/// That of a model (launch/model_tokenizer.h).
NamedTokenizer tokenizer_known_to(const std::filesystem::path& model);

/// As data::make_tokenizer; where nothing of the kind is there, the error names `by`, the option or
/// key that said `specification`, or --end-of-document.
std::unique_ptr<data::Tokenizer> make_given_tokenizer(const std::string& by,
                                                      const std::string& specification,
                                                      const std::string& end_of_document = "");

/// InputError where both are known and differ, which says that `escape` goes on all the same.
void expect_same_tokenizer(const NamedTokenizer& found, const NamedTokenizer& expected,
                           const std::string& escape);

/// Names of the options.
struct TokenOptionNames {
  std::string vocabulary, end;
};

/// InputError where `given` says of a token folder something else than the folder does.
void expect_agreement(const data::TokenData& tokens, const data::TokenDataOptions& given,
                      const TokenOptionNames& names);

}  // namespace longhaul::launch
