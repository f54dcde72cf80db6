#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"
#include "model/checkpoint/gguf/gguf_tokenizer.h"
#include "model/checkpoint/gguf/sentencepiece.pb.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr int kUnigram = 1, kBpe = 2;
constexpr float kScoreOfPadding = -1000;

proto::SentencePieceModel parse(const std::filesystem::path& path) {
  constexpr int64_t kMost = int64_t{1} << 30;
  proto::SentencePieceModel model;
  if (!model.ParseFromString(core::read_file(path, kMost)) || model.pieces().empty()) {
    throw core::InputError(message(path.string(), ": is no SentencePiece model"));
  }
  return model;
}

/// SentencePiece knows the special tokens by their pieces.
void find_special(const proto::SentencePieceModel& model, GgufTokenizer& tokenizer) {
  const auto& training = model.trainer_spec();
  const std::pair<const char*, const std::string&> roles[] = {{"unknown", training.unk_piece()},
                                                              {"bos", training.bos_piece()},
                                                              {"eos", training.eos_piece()},
                                                              {"padding", training.pad_piece()}};
  for (int i = 0; i < model.pieces_size(); ++i) {
    const auto& piece = model.pieces(i);
    if (piece.type() != kGgufUnknown && piece.type() != kGgufControl) continue;
    for (const auto& [role, name] : roles) {
      if (piece.piece() == name) tokenizer.special.try_emplace(role, i);
    }
  }
}

void take_normalizer(const proto::SentencePieceModel::Normalizer& normalizer,
                     GgufTokenizer& tokenizer) {
  tokenizer.pieces.add_space_prefix = normalizer.add_dummy_prefix();
  tokenizer.pieces.remove_extra_whitespaces = normalizer.remove_extra_whitespaces();
  if (tokenizer.model == "t5") {
    tokenizer.pieces.charsmap = normalizer.precompiled_charsmap();
    return;
  }
  if (!normalizer.precompiled_charsmap().empty()) {
    tokenizer.notes.push_back(
        message("llama.cpp does not normalise text (", normalizer.name(), "), the tokenizer does"));
  }
  if (normalizer.remove_extra_whitespaces()) {
    tokenizer.notes.emplace_back(
        "llama.cpp keeps spaces that follow others, the tokenizer does not");
  }
}

}  // namespace

GgufTokenizer read_gguf_pieces(const std::filesystem::path& file, int64_t rows) {
  const proto::SentencePieceModel model = parse(file);
  if (model.pieces_size() > rows) {
    throw core::InputError(message(file.string(), ": has ", model.pieces_size(),
                                   " pieces, the embedding has ", rows, " rows"));
  }
  const int kind = model.trainer_spec().model_type();
  if (kind != kUnigram && kind != kBpe) {
    throw core::InputError(message(file.string(), ": trainer_spec.model_type is ", kind,
                                   ", expected 1 (Unigram) or 2 (BPE): llama.cpp knows no other"));
  }
  if (!model.normalizer_spec().escape_whitespaces()) {
    throw core::InputError(message(file.string(),
                                   ": normalizer_spec.escape_whitespaces is false, which llama.cpp "
                                   "cannot express"));
  }
  GgufTokenizer tokenizer;
  tokenizer.model = kind == kBpe ? "llama" : "t5";
  tokenizer.pre = "default";
  for (const auto& piece : model.pieces()) {
    if (piece.type() < kGgufNormal || piece.type() > kGgufByte) {
      throw core::InputError(message(file.string(), ": piece ", tokenizer.tokens.size(),
                                     " has the unknown type ", piece.type()));
    }
    tokenizer.tokens.push_back(piece.piece());
    tokenizer.types.push_back(piece.type());
    tokenizer.pieces.scores.push_back(piece.score());
  }
  for (int64_t i = model.pieces_size(); i < rows; ++i) {
    tokenizer.tokens.push_back(message("[PAD", i, "]"));
    tokenizer.types.push_back(kGgufUnused);
    tokenizer.pieces.scores.push_back(kScoreOfPadding);
  }
  find_special(model, tokenizer);
  take_normalizer(model.normalizer_spec(), tokenizer);
  tokenizer.add_bos = tokenizer.special.contains("bos");
  return tokenizer;
}

}  // namespace longhaul::model
