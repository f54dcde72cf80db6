#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace longhaul::launch {

/// The tokenizer of a model, as data::make_tokenizer wants it: the file beside the model; else
/// beside the model that its run started from; else "byte", if the vocabulary is one of bytes.
/// InputError where there is none.
std::string tokenizer_of_model(const std::filesystem::path& model, int64_t vocabulary);

}  // namespace longhaul::launch
