#include "data/token_folder.h"

#include <glog/logging.h>

#include <bit>
#include <cstring>
#include <vector>

#include "data/document_index.h"
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

struct TokenFolder::Opened {
  explicit Opened(const std::filesystem::path& folder)
      : path(folder),
        manifest(read_manifest(folder / kManifestFile)),
        token_file(folder / kTokensFile),
        documents(folder / kDocumentsFile) {}

  void check_sizes() const {
    std::vector<std::string> problems;
    const int64_t token_bytes = manifest.tokens * manifest.element_bytes;
    const int64_t token_size = token_file.size();
    if (token_size != token_bytes)
      problems.push_back(size_problem(
          path / kTokensFile, token_size, token_bytes,
          core::message(manifest.tokens, " tokens of ", manifest.element_bytes, " bytes")));
    const int64_t document_bytes = (manifest.documents + 1) * int64_t{sizeof(uint64_t)};
    const int64_t document_size = documents.file().size();
    if (document_size != document_bytes)
      problems.push_back(size_problem(path / kDocumentsFile, document_size, document_bytes,
                                      core::message(manifest.documents, " documents")));
    if (!problems.empty()) throw core::InputError(std::move(problems));
  }

  void check_documents() const {
    const auto refuse = [&](int64_t index, const auto&... expected) {
      throw core::InputError(core::message((path / kDocumentsFile).string(), ": entry ", index,
                                           " is ", documents[index], ", expected ", expected...));
    };
    uint64_t before = documents[0];
    if (before != 0) refuse(0, 0);
    for (int64_t i = 1; i <= manifest.documents; ++i) {
      const uint64_t begin = documents[i];
      if (begin <= before) refuse(i, "more than ", before);
      before = begin;
    }
    if (before != static_cast<uint64_t>(manifest.tokens))
      refuse(manifest.documents, manifest.tokens, " (tokens in ", kManifestFile, ")");
  }

  void verify(bool with_tokens) const {
    std::vector<std::string> problems;
    const uint32_t borders = crc32(documents.file());
    if (borders != manifest.documents_crc32)
      problems.push_back(
          checksum_problem(path / kDocumentsFile, borders, manifest.documents_crc32));
    const uint32_t tokens = with_tokens ? crc32(token_file) : manifest.tokens_crc32;
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
  DocumentIndex documents;
};

TokenFolder::TokenFolder(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error))
    throw core::InputError(
        core::message(folder.string(), ": is not a folder, expected a token folder"));
  opened_ = std::make_unique<Opened>(folder);
  opened_->check_sizes();
  opened_->check_documents();
  opened_->verify(opened_->token_file.size() <= kVerifiedBytes);
}
TokenFolder::~TokenFolder() = default;
TokenFolder::TokenFolder(TokenFolder&&) noexcept = default;
TokenFolder& TokenFolder::operator=(TokenFolder&&) noexcept = default;

const std::filesystem::path& TokenFolder::path() const { return opened_->path; }
int64_t TokenFolder::tokens() const { return opened_->manifest.tokens; }
int64_t TokenFolder::documents() const { return opened_->manifest.documents; }
int64_t TokenFolder::document_begin(int64_t document) const {
  CHECK(document >= 0 && document <= documents()) << document;
  return static_cast<int64_t>(opened_->documents[document]);
}
int64_t TokenFolder::vocabulary() const { return opened_->manifest.vocabulary; }
int32_t TokenFolder::end_of_document() const { return opened_->manifest.end_of_document; }
std::string TokenFolder::tokenizer() const { return opened_->manifest.tokenizer; }
std::filesystem::path TokenFolder::kept_tokenizer() const {
  const std::filesystem::path kept = data::kept_tokenizer(opened_->path);
  if (kept.empty()) return kept;
  const std::string found = name_of_tokenizer_file(find_tokenizer(kept));
  if (tokenizer_identity(found) != tokenizer_identity(tokenizer()))
    throw core::InputError(
        core::message(found, ": is damaged, expected the tokenizer '", tokenizer(), "'"));
  return kept;
}

const std::optional<Split>& TokenFolder::split() const { return opened_->manifest.split; }

uint64_t TokenFolder::fingerprint() const {
  const Manifest& m = opened_->manifest;
  uint64_t hash = 0;
  for (const int64_t value : {m.tokens, m.documents, m.vocabulary, int64_t{m.element_bytes},
                              int64_t{m.tokens_crc32}, int64_t{m.documents_crc32}})
    hash = mix(hash, static_cast<uint64_t>(value));
  return hash;
}

void TokenFolder::verify() const { opened_->verify(true); }

void TokenFolder::read(int64_t begin, std::span<int32_t> out) const {
  const auto count = static_cast<int64_t>(out.size());
  CHECK(begin >= 0 && begin <= tokens() && count <= tokens() - begin)
      << "tokens [" << begin << ", +" << count << ") of " << tokens();
  const int64_t bad = opened_->manifest.element_bytes == 2 ? opened_->copy<uint16_t>(begin, out)
                                                           : opened_->copy<uint32_t>(begin, out);
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
