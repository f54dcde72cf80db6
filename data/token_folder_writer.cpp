#include <glog/logging.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "data/file_io.h"
#include "data/manifest.h"
#include "data/staging_folder.h"
#include "data/token_folder.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
namespace fs = std::filesystem;

bool holds_only_a_tokenizer(const fs::path& folder) {
  std::error_code error;
  const auto entries = fs::directory_iterator(folder, error);
  return !error &&
         std::distance(begin(entries), end(entries)) == std::ssize(tokenizer_files_in(folder));
}

/// Only what a writer made, and nothing beside it, may be replaced.
void expect_token_folder(const fs::path& folder) {
  const auto refuse = [&](const std::string& why) {
    throw core::InputError(core::message(folder.string(), ": exists and is not a token folder (",
                                         why, "), expected a new name"));
  };
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool is_tokenizer = name == kTokenizerFolder && holds_only_a_tokenizer(entry.path());
    if (name != kManifestFile && name != kTokensFile && name != kDocumentsFile && !is_tokenizer)
      refuse("it holds " + name);
  }
  if (error) refuse(error.message());
  try {
    read_manifest(folder / kManifestFile);
  } catch (const core::InputError& error) {
    refuse(error.what());
  }
}
}  // namespace

struct TokenFolderWriter::State {
  State(const fs::path& folder, const Description& description)
      : staging(folder, expect_token_folder),
        token_file(staging.path() / kTokensFile),
        document_file(staging.path() / kDocumentsFile) {
    manifest.tokenizer = description.tokenizer;
    manifest.vocabulary = description.vocabulary;
    manifest.end_of_document = description.end_of_document;
    manifest.element_bytes = element_bytes_for(description.vocabulary);
    manifest.split = description.split;
  }

  template <class Element>
  void write(std::span<const int32_t> tokens) {
    std::array<Element, 4096> narrow;
    while (!tokens.empty()) {
      const auto piece = tokens.first(std::min(tokens.size(), narrow.size()));
      std::transform(piece.begin(), piece.end(), narrow.begin(),
                     [](int32_t token) { return static_cast<Element>(token); });
      token_file.write(std::as_bytes(std::span(narrow).first(piece.size())));
      tokens = tokens.subspan(piece.size());
    }
  }

  void append(std::span<const int32_t> tokens) {
    const auto limit = static_cast<uint32_t>(manifest.vocabulary);
    CHECK(std::all_of(tokens.begin(), tokens.end(),
                      [limit](int32_t t) { return static_cast<uint32_t>(t) < limit; }))
        << "a token outside the vocabulary of " << limit;
    if (manifest.element_bytes == 2)
      write<uint16_t>(tokens);
    else
      write<uint32_t>(tokens);
    manifest.tokens += static_cast<int64_t>(tokens.size());
  }

  void write_border(int64_t token) {
    const auto begin = static_cast<uint64_t>(token);
    document_file.write(std::as_bytes(std::span(&begin, 1)));
  }

  StagingFolder staging;
  OutputFile token_file, document_file;
  Manifest manifest;
  int64_t document_begin = 0;
  bool is_sealed = false;
};

TokenFolderWriter::TokenFolderWriter(const fs::path& folder, Description description) {
  CHECK(description.vocabulary >= 1 && description.end_of_document >= 0 &&
        description.end_of_document < description.vocabulary && !description.tokenizer.empty());
  state_ = std::make_unique<State>(folder, description);
}
TokenFolderWriter::~TokenFolderWriter() = default;

void TokenFolderWriter::add_document(std::span<const int32_t> tokens) {
  append(tokens);
  end_document();
}

void TokenFolderWriter::append(std::span<const int32_t> tokens) { state_->append(tokens); }

void TokenFolderWriter::end_document() {
  state_->append(std::span(&state_->manifest.end_of_document, 1));
  state_->write_border(state_->document_begin);
  state_->document_begin = state_->manifest.tokens;
  ++state_->manifest.documents;
}

void TokenFolderWriter::add_source(const std::string& name) {
  state_->manifest.sources.push_back(name);
}

void TokenFolderWriter::keep_tokenizer(const std::vector<TokenizerFile>& files) {
  if (files.empty()) return;
  const fs::path folder = state_->staging.path() / kTokenizerFolder;
  fs::create_directory(folder);
  for (const auto& file : files) {
    OutputFile out(folder / file.name);
    out.write(std::as_bytes(std::span(file.text)));
    out.finish();
  }
  sync_folder(folder);
}

int64_t TokenFolderWriter::tokens() const { return state_->manifest.tokens; }
int64_t TokenFolderWriter::documents() const { return state_->manifest.documents; }

void TokenFolderWriter::seal() {
  State& s = *state_;
  if (std::exchange(s.is_sealed, true)) return;
  CHECK_EQ(s.document_begin, s.manifest.tokens) << "the last document has no end";
  s.write_border(s.manifest.tokens);
  s.token_file.finish();
  s.document_file.finish();
  s.manifest.tokens_crc32 = s.token_file.crc32();
  s.manifest.documents_crc32 = s.document_file.crc32();
  write_manifest(s.staging.path() / kManifestFile, s.manifest);
}

void TokenFolderWriter::finish() {
  seal();
  state_->staging.publish();
}

}  // namespace longhaul::data
