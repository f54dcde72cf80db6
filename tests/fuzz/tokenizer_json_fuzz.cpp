// Any text as a tokenizer.json: refused, or every text becomes tokens of the vocabulary.
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/bpe/byte_level_tokenizer.h"
#include "kernels/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  static const std::filesystem::path folder = [] {
    std::string name = (std::filesystem::temp_directory_path() / "tokenizer-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    return std::filesystem::path(name);
  }();
  std::ofstream(folder / "tokenizer.json", std::ios::binary)
      << std::string_view(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer =
        longhaul::data::make_byte_level_tokenizer(folder / "tokenizer.json", "0");
    for (const std::string_view text :
         {"It's  a text,\n 42 <e>\xff\xc3", "e\xcc\x81", "aaaaaaaaaa"}) {
      std::vector<int32_t> tokens;
      tokenizer->encode(text, tokens);
      for (const int32_t token : tokens)
        if (token < 0 || token >= tokenizer->vocabulary()) std::abort();
      tokenizer->text(tokens);
    }
  } catch (const core::InputError&) {
  }
  return 0;
}
