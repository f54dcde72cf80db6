#include "data/sentencepiece_tokenizer.h"

#include <glog/logging.h>
#include <sentencepiece_processor.h>

#include "data/end_of_document.h"
#include "data/tokenizer_files.h"
#include "data/utf8.h"
#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"

namespace longhaul::data {

namespace {
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581 stands for a space

/// "<0xE4>": a byte of a character that the vocabulary lacks.
char byte_of(const std::string& piece) {
  return static_cast<char>(std::stoi(piece.substr(3, 2), nullptr, 16));
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(const std::filesystem::path& file, const std::string& end_of_document) {
    const std::string model = core::read_file(file);
    name_ = name_of_tokenizer_file(file);
    const auto status = processor_.LoadFromSerializedProto(model);
    if (!status.ok() || processor_.GetPieceSize() < 1)
      throw core::InputError(
          core::message(file.string(), ": is no SentencePiece model: ",
                        status.ok() ? "it has no pieces" : status.error_message()));
    const auto find = [this](const std::string& text) -> std::optional<int32_t> {
      const int token = processor_.PieceToId(text);
      return processor_.IdToPiece(token) == text ? std::optional<int32_t>(token) : std::nullopt;
    };
    end_of_document_ = choose_end_of_document({.file = file.string(),
                                               .asked = end_of_document,
                                               .vocabulary = vocabulary(),
                                               .find = find});
  }

  std::string name() const override { return name_; }
  int64_t vocabulary() const override { return processor_.GetPieceSize(); }
  int32_t end_of_document() const override { return end_of_document_; }

  void encode(std::string_view text, std::vector<int32_t>& tokens) const override {
    std::string buffer;
    std::vector<int> ids;
    const auto status = processor_.Encode(valid_utf8(text, buffer), &ids);
    if (!status.ok())
      throw core::Error(core::message(name_, ": cannot encode: ", status.error_message()));
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }

  std::string decode(int32_t token) const override {
    CHECK(token >= 0 && token < vocabulary()) << "token " << token;
    if (processor_.IsControl(token) || processor_.IsUnknown(token)) return "";
    const std::string& piece = processor_.IdToPiece(token);
    if (processor_.IsByte(token)) return std::string(1, byte_of(piece));
    std::string text = piece;
    for (size_t at = 0; (at = text.find(kSpace, at)) != std::string::npos; ++at)
      text.replace(at, kSpace.size(), " ");
    return text;
  }

  std::string text(std::span<const int32_t> tokens) const override {
    std::string text;
    const auto status = processor_.Decode(std::vector<int>(tokens.begin(), tokens.end()), &text);
    if (!status.ok())
      throw core::Error(core::message(name_, ": cannot decode: ", status.error_message()));
    return text;
  }

  std::string spelling(int32_t token) const override { return processor_.IdToPiece(token); }

  DocumentFrame frame() const override {
    DocumentFrame frame;
    if (processor_.bos_id() >= 0) frame.before.push_back(processor_.bos_id());
    return frame;
  }

  /// A text begins with a space that its middle does not.
  size_t safe_cut(std::string_view, size_t) const override { return 0; }

 private:
  sentencepiece::SentencePieceProcessor processor_;
  std::string name_;
  int32_t end_of_document_ = 0;
};
}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const std::filesystem::path& file,
                                                        const std::string& end_of_document) {
  return std::make_unique<SentencePieceTokenizer>(file, end_of_document);
}

}  // namespace longhaul::data
