// The token folders of a tokenize job: one to train on and, where a share is held out, another.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "data/held_out.h"
#include "data/token_folder.h"
#include "data/tokenize.h"

namespace longhaul::data {

class SplitWriter {
 public:
  /// `rule`: noted in the manifests. InputError where the folders cannot be written or are in each
  /// other.
  SplitWriter(const Tokenizer& tokenizer, const TokenizeJob& job, const char* rule);

  /// Continues the document of this key (held_out.h), or begins it.
  void append(uint32_t key, std::span<const int32_t> tokens) { side(key).append(tokens); }
  void end_document(uint32_t key);
  void count(TokenizeProgress& progress) const;  ///< documents and tokens of both
  /// InputError where a folder would be empty and another share would do.
  void finish();

 private:
  TokenFolderWriter& side(uint32_t key) { return is_held_out(key, share_) ? *held_out_ : train_; }
  void expect_two_sides() const;

  double share_;
  TokenFolderWriter train_;
  std::unique_ptr<TokenFolderWriter> held_out_;  // where share_ > 0
  uint32_t least_key_ = UINT32_MAX, most_key_ = 0;
};

}  // namespace longhaul::data
