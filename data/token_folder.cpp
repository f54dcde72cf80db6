#include "data/token_folder.h"

#include <glog/logging.h>

#include <bit>
#include <cstring>
#include <vector>

#include "data/file_io.h"
#include "data/manifest.h"
#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"

namespace longhaul::data {

static_assert(std::endian::native == std::endian::little, "the files are read as they are");

namespace {
/// Below this, opening verifies the checksum of tokens.bin; above, only verify() does.
constexpr int64_t kVerifiedBytes = int64_t{64} << 20;

std::string size_problem(const std::filesystem::path& file, int64_t found, int64_t expected,
                         const std::string& because) {
  return core::message(file.string(), ": has ", found, " bytes, expected ", expected, " (", because,
                       " in ", kManifestFile, ")");
}

std::string checksum_problem(const std::filesystem::path& file, uint32_t found, uint32_t expected) {
  return core::message(file.string(), ": is damaged: CRC-32 is ", found, ", expected ", expected,
                       " (", kManifestFile, ")");
}

uint64_t mix(uint64_t hash, uint64_t value) {  // splitmix64's finalizer over a running hash
  uint64_t x = hash ^ (value + 0x9E3779B97F4A7C15u + (hash << 6) + (hash >> 2));
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
}  // namespace

struct TokenFolder::Mapped {
  explicit Mapped(const std::filesystem::path& folder)
      : path(folder),
        manifest(read_manifest(folder / kManifestFile)),
        token_file(folder / kTokensFile),
        document_file(folder / kDocumentsFile) {}

  uint64_t document(int64_t index) const {
    uint64_t begin = 0;
    std::memcpy(&begin, document_file.data() + index * int64_t{sizeof begin}, sizeof begin);
    return begin;
  }

  void check_sizes() const {
    std::vector<std::string> problems;
    const int64_t token_bytes = manifest.tokens * manifest.element_bytes;
    const int64_t token_size = token_file.size();
    if (token_size != token_bytes)
      problems.push_back(size_problem(
          path / kTokensFile, token_size, token_bytes,
          core::message(manifest.tokens, " tokens of ", manifest.element_bytes, " bytes")));
    const int64_t document_bytes = (manifest.documents + 1) * int64_t{sizeof(uint64_t)};
    const int64_t document_size = std::ssize(document_file.bytes());
    if (document_size != document_bytes)
      problems.push_back(size_problem(path / kDocumentsFile, document_size, document_bytes,
                                      core::message(manifest.documents, " documents")));
    if (!problems.empty()) throw core::InputError(std::move(problems));
  }

  void check_documents() const {
    const auto refuse = [&](int64_t index, const auto&... expected) {
      throw core::InputError(core::message((path / kDocumentsFile).string(), ": entry ", index,
                                           " is ", document(index), ", expected ", expected...));
    };
    if (document(0) != 0) refuse(0, 0);
    for (int64_t i = 1; i <= manifest.documents; ++i)
      if (document(i) <= document(i - 1)) refuse(i, "more than ", document(i - 1));
    if (document(manifest.documents) != static_cast<uint64_t>(manifest.tokens))
      refuse(manifest.documents, manifest.tokens, " (tokens in ", kManifestFile, ")");
  }

  void verify(bool with_tokens) const {
    std::vector<std::string> problems;
    const uint32_t documents = crc32(document_file);
    if (documents != manifest.documents_crc32)
      problems.push_back(
          checksum_problem(path / kDocumentsFile, documents, manifest.documents_crc32));
    const uint32_t tokens =
        with_tokens ? crc32(core::MappedFile(path / kTokensFile)) : manifest.tokens_crc32;
    if (tokens != manifest.tokens_crc32)
      problems.push_back(checksum_problem(path / kTokensFile, tokens, manifest.tokens_crc32));
    if (!problems.empty()) throw core::InputError(std::move(problems));
  }

  /// Widens into `out`; the index of the first token outside the vocabulary, or −1.
  template <class Element>
  int64_t copy(int64_t begin, std::span<int32_t> out) const {
    const auto count = static_cast<int64_t>(out.size());
    std::vector<std::byte> stored(out.size() * sizeof(Element));
    token_file.read(begin * int64_t{sizeof(Element)}, stored);
    const std::byte* in = stored.data();
    const auto limit = static_cast<uint32_t>(manifest.vocabulary);
    uint32_t bad = 0;
    for (int64_t i = 0; i < count; ++i) {
      Element token;
      std::memcpy(&token, in + i * int64_t{sizeof(Element)}, sizeof(Element));
      bad |= static_cast<uint32_t>(token >= limit);
      out[static_cast<size_t>(i)] = static_cast<int32_t>(token);
    }
    if (bad == 0) return -1;
    for (int64_t i = 0;; ++i)
      if (static_cast<uint32_t>(out[static_cast<size_t>(i)]) >= limit) return begin + i;
  }

  std::filesystem::path path;
  Manifest manifest;
  core::RandomAccessFile token_file;
  core::MappedFile document_file;
};

TokenFolder::TokenFolder(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error))
    throw core::InputError(
        core::message(folder.string(), ": is not a folder, expected a token folder"));
  mapped_ = std::make_unique<Mapped>(folder);
  mapped_->check_sizes();
  mapped_->check_documents();
  mapped_->verify(mapped_->token_file.size() <= kVerifiedBytes);
}
TokenFolder::~TokenFolder() = default;
TokenFolder::TokenFolder(TokenFolder&&) noexcept = default;
TokenFolder& TokenFolder::operator=(TokenFolder&&) noexcept = default;

const std::filesystem::path& TokenFolder::path() const { return mapped_->path; }
int64_t TokenFolder::tokens() const { return mapped_->manifest.tokens; }
int64_t TokenFolder::documents() const { return mapped_->manifest.documents; }
int64_t TokenFolder::document_begin(int64_t document) const {
  CHECK(document >= 0 && document <= documents()) << document;
  return static_cast<int64_t>(mapped_->document(document));
}
int64_t TokenFolder::vocabulary() const { return mapped_->manifest.vocabulary; }
int32_t TokenFolder::end_of_document() const { return mapped_->manifest.end_of_document; }
std::string TokenFolder::tokenizer() const { return mapped_->manifest.tokenizer; }
std::filesystem::path TokenFolder::kept_tokenizer() const {
  const std::filesystem::path kept = data::kept_tokenizer(mapped_->path);
  if (kept.empty()) return kept;
  const std::string found = name_of_tokenizer_file(find_tokenizer(kept));
  if (tokenizer_identity(found) != tokenizer_identity(tokenizer()))
    throw core::InputError(
        core::message(found, ": is damaged, expected the tokenizer '", tokenizer(), "'"));
  return kept;
}

const std::optional<Split>& TokenFolder::split() const { return mapped_->manifest.split; }

uint64_t TokenFolder::fingerprint() const {
  const Manifest& m = mapped_->manifest;
  uint64_t hash = 0;
  for (const int64_t value : {m.tokens, m.documents, m.vocabulary, int64_t{m.element_bytes},
                              int64_t{m.tokens_crc32}, int64_t{m.documents_crc32}})
    hash = mix(hash, static_cast<uint64_t>(value));
  return hash;
}

void TokenFolder::verify() const { mapped_->verify(true); }

void TokenFolder::read(int64_t begin, std::span<int32_t> out) const {
  const auto count = static_cast<int64_t>(out.size());
  CHECK(begin >= 0 && begin <= tokens() && count <= tokens() - begin)
      << "tokens [" << begin << ", +" << count << ") of " << tokens();
  const int64_t bad = mapped_->manifest.element_bytes == 2 ? mapped_->copy<uint16_t>(begin, out)
                                                           : mapped_->copy<uint32_t>(begin, out);
  if (bad >= 0)
    throw core::InputError(core::message(
        (path() / kTokensFile).string(), ": token ", bad, " is ",
        static_cast<uint32_t>(out[static_cast<size_t>(bad - begin)]),
        ", expected less than the vocabulary of ", vocabulary(), " (", kManifestFile, ")"));
}

std::filesystem::path kept_tokenizer(const std::filesystem::path& folder) {
  const std::filesystem::path inside = folder / kTokenizerFolder;
  return find_tokenizer(inside).empty() ? std::filesystem::path() : inside;
}

std::string recorded_tokenizer(const std::filesystem::path& folder) {
  try {
    return read_manifest(folder / kManifestFile).tokenizer;
  } catch (const core::InputError&) {
    return "";
  }
}

}  // namespace longhaul::data
