// What the tasks of `longhaul eval` ask about, made here: bytes, a text, stories.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "data/tasks/babilong_task.h"
#include "data/tasks/background_text.h"
#include "data/token_data.h"
#include "data/tokenizer.h"

namespace longhaul::bench {

class TrialData {
 public:
  /// For prompts of up to `length` bytes.
  explicit TrialData(int64_t length);
  ~TrialData();  ///< removes its files
  TrialData(const TrialData&) = delete;
  TrialData& operator=(const TrialData&) = delete;

  const data::Tokenizer& tokenizer() const { return *tokenizer_; }
  const data::Task& babilong() const { return *babilong_; }  ///< qa1, no worked examples

 private:
  std::filesystem::path folder_;
  std::unique_ptr<data::Tokenizer> tokenizer_;
  std::unique_ptr<data::TokenData> text_;
  std::unique_ptr<data::BackgroundText> background_;
  std::unique_ptr<data::Task> babilong_;
};

}  // namespace longhaul::bench
