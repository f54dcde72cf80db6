// manifest.json of a token folder, checked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/held_out.h"

namespace longhaul::data {

inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kTokensFile = "tokens.bin";
inline constexpr const char* kDocumentsFile = "documents.bin";
inline constexpr const char* kTokenizerFolder = "tokenizer";

struct Manifest {
  std::string tokenizer;
  int64_t vocabulary = 0;
  int32_t end_of_document = 0;
  int32_t element_bytes = 0;
  int64_t documents = 0;
  int64_t tokens = 0;
  std::vector<std::string> sources;
  uint32_t tokens_crc32 = 0;
  uint32_t documents_crc32 = 0;
  std::optional<Split> split;
};

/// Bytes of an element of tokens.bin for a vocabulary.
inline int32_t element_bytes_for(int64_t vocabulary) { return vocabulary <= 65536 ? 2 : 4; }

/// Everything that can be checked without the other files is; throws InputError with all problems.
Manifest read_manifest(const std::filesystem::path& file);
/// Writes and fsyncs. Throws core::Error.
void write_manifest(const std::filesystem::path& file, const Manifest& manifest);

}  // namespace longhaul::data
