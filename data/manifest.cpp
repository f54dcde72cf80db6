#include "data/manifest.h"

#include <google/protobuf/util/json_util.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "data/file_io.h"
#include "data/token_folder.pb.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr const char* kFormat = "longhaul token folder";
constexpr int32_t kVersion = 1;
constexpr int64_t kMostBytes = int64_t{64} << 20;
constexpr int64_t kMostTokens = int64_t{1} << 48;  // products with element sizes cannot overflow

/// Protobuf strings are UTF-8; file names need not be.
std::string as_utf8(const std::string& text) {
  using nlohmann::json;
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace))
      .get<std::string>();
}

std::vector<std::string> problems_of(const proto::TokenFolderManifest& m, const std::string& file) {
  std::vector<std::string> problems;
  const auto check = [&](bool good, const char* key, const auto& found, const auto&... expected) {
    if (!good)
      problems.push_back(
          core::message(file, ": ", key, ": is ", found, ", expected ", expected...));
  };
  check(m.format() == kFormat, "format", '"' + m.format() + '"', '"', kFormat, '"');
  check(m.version() == kVersion, "version", m.version(), kVersion);
  if (!problems.empty()) return problems;  // the rest may mean something else
  constexpr int64_t kMostVocabulary = std::numeric_limits<int32_t>::max();
  check(!m.tokenizer().empty(), "tokenizer", "empty", "a name");
  check(m.vocabulary() >= 1 && m.vocabulary() <= kMostVocabulary, "vocabulary", m.vocabulary(),
        "from 1 to ", kMostVocabulary);
  check(m.end_of_document() >= 0 && m.end_of_document() < m.vocabulary(), "end_of_document",
        m.end_of_document(), "a token of the vocabulary of ", m.vocabulary());
  check(
      m.element_bytes() == 4 || (m.element_bytes() == 2 && element_bytes_for(m.vocabulary()) == 2),
      "element_bytes", m.element_bytes(), element_bytes_for(m.vocabulary()),
      " for a vocabulary of ", m.vocabulary());
  check(m.tokens() >= 0 && m.tokens() <= kMostTokens, "tokens", m.tokens(), "from 0 to ",
        kMostTokens);
  check(m.documents() >= 0 && m.documents() <= m.tokens(), "documents", m.documents(),
        "from 0 to tokens (", m.tokens(), ")");
  check(m.documents() != 0 || m.tokens() == 0, "documents", m.documents(), "at least 1 for ",
        m.tokens(), " tokens");
  if (m.has_split()) {
    const double share = m.split().share();
    check(share > 0 && share < 1, "split.share", share, "above 0 and below 1");
    check(!m.split().rule().empty(), "split.rule", "empty", "a sentence");
  }
  return problems;
}
}  // namespace

Manifest read_manifest(const std::filesystem::path& file) {
  const std::string text = core::read_file(file, kMostBytes);
  proto::TokenFolderManifest m;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &m);
  if (!status.ok()) {
    std::string why(status.message());
    for (char& c : why)
      if (c == '\n' || c == '\r') c = ' ';
    throw core::InputError(
        core::message(file.string(), ": is not a token folder's manifest: ", why));
  }
  auto problems = problems_of(m, file.string());
  if (!problems.empty()) throw core::InputError(std::move(problems));
  return {.tokenizer = m.tokenizer(),
          .vocabulary = m.vocabulary(),
          .end_of_document = m.end_of_document(),
          .element_bytes = m.element_bytes(),
          .documents = m.documents(),
          .tokens = m.tokens(),
          .sources = {m.sources().begin(), m.sources().end()},
          .tokens_crc32 = m.tokens_crc32(),
          .documents_crc32 = m.documents_crc32(),
          .split = m.has_split() ? std::optional<Split>({.share = m.split().share(),
                                                         .rule = m.split().rule(),
                                                         .is_held_out = m.split().held_out()})
                                 : std::nullopt};
}

void write_manifest(const std::filesystem::path& file, const Manifest& manifest) {
  proto::TokenFolderManifest m;
  m.set_format(kFormat);
  m.set_version(kVersion);
  m.set_tokenizer(as_utf8(manifest.tokenizer));
  m.set_vocabulary(manifest.vocabulary);
  m.set_end_of_document(manifest.end_of_document);
  m.set_element_bytes(manifest.element_bytes);
  m.set_documents(manifest.documents);
  m.set_tokens(manifest.tokens);
  for (const auto& source : manifest.sources) m.add_sources(as_utf8(source));
  m.set_tokens_crc32(manifest.tokens_crc32);
  m.set_documents_crc32(manifest.documents_crc32);
  if (manifest.split) {
    m.mutable_split()->set_share(manifest.split->share);
    m.mutable_split()->set_rule(manifest.split->rule);
    m.mutable_split()->set_held_out(manifest.split->is_held_out);
  }
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(m, &text, options);
  if (!status.ok())
    throw core::Error(core::message(file.string(), ": ", std::string(status.message())));
  OutputFile out(file);
  out.write(std::as_bytes(std::span(text)));
  out.finish();
}

}  // namespace longhaul::data
