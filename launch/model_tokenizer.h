#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace longhaul::launch {

/// Where the model's tokenizer is: beside it, with its run, or with the model that its run started
/// from, and so on; `model` itself (of a run, its model) where it is at no such place.
std::filesystem::path folder_with_tokenizer(const std::filesystem::path& model);

/// The tokenizer whose tokens the model knows, by its name (data::Tokenizer::name): that of the
/// file in folder_with_tokenizer, else what the run's data say of themselves; "" if nobody says.
std::string tokens_of_model(const std::filesystem::path& model);

/// As data::make_tokenizer wants it: the file in folder_with_tokenizer, else "byte", if the
/// vocabulary is one of bytes and nothing says that the tokens are others. InputError where there
/// is none.
std::string tokenizer_of_model(const std::filesystem::path& model, int64_t vocabulary);

}  // namespace longhaul::launch
