// The tokenizer that made tokens, held against the one that is to read them.
#pragma once

#include <filesystem>
#include <string>

namespace longhaul::launch {

/// A tokenizer's name (data::Tokenizer::name; "" where it is not known), and who says it.
struct NamedTokenizer {
  std::string by, name;
};

/// That of a model (launch/model_tokenizer.h).
NamedTokenizer tokenizer_known_to(const std::filesystem::path& model);

/// InputError where both are known and differ, which says that `escape` goes on all the same.
void expect_same_tokenizer(const NamedTokenizer& found, const NamedTokenizer& expected,
                           const std::string& escape);

}  // namespace longhaul::launch
