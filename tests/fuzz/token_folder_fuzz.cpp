// Any text as the manifest.json of a small token folder: refused, or every token can be asked for.
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_folder.h"
#include "kernels/core/error.h"

namespace {

void put(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Tokens 1, 2, 0 in one document; the seed manifest has their checksums.
std::filesystem::path make_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "tokens-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  const std::filesystem::path folder = name;
  put(folder / "tokens.bin", std::string("\1\0\2\0\0\0", 6));
  put(folder / "documents.bin", std::string("\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 16));
  return folder;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  static const std::filesystem::path folder = make_folder();
  put(folder / "manifest.json", {reinterpret_cast<const char*>(data), size});
  try {
    const longhaul::data::TokenFolder tokens(folder);
    std::vector<int32_t> read(static_cast<size_t>(tokens.tokens()));
    tokens.read(0, read);
    const auto limit = tokens.vocabulary();
    if (std::any_of(read.begin(), read.end(), [&](int32_t t) { return t < 0 || t >= limit; })) {
      std::abort();
    }
    if (tokens.document_begin(tokens.documents()) != tokens.tokens()) std::abort();
  } catch (const core::InputError&) {
  }
  return 0;
}
