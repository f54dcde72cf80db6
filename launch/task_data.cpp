#include "launch/task_data.h"

#include "data/tasks/task_kind.h"
#include "kernels/core/error.h"
#include "launch/given_tokens.h"
#include "launch/model_tokenizer.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::launch {

namespace {
/// data.tokenizer, else that of the model the run starts from, else bytes.
std::string tokenizer_of(const RunConfig& config) {
  if (!config.data.tokenizer.empty()) return config.data.tokenizer;
  if (config.model.from.empty()) return "byte";
  return tokenizer_of_model(config.model.from,
                            model::read_model_config(config.model.from).vocabulary);
}
}  // namespace

TaskData::TaskData(const RunConfig& config, const data::TokenDataOptions& options, Use use) {
  const DataSection& data = config.data;
  const bool evaluates = use == Use::kEvaluation;
  const auto kind = evaluates ? data.task()->for_evaluation() : data.task()->clone();
  if (kind->has_words()) {
    tokenizer_ = make_given_tokenizer("data.tokenizer", tokenizer_of(config));
    if (!config.model.from.empty() && !data.other_tokenizer) {
      expect_same_tokenizer({"data.tokenizer", tokenizer_->name()},
                            tokenizer_known_to(config.model.from), "data.other_tokenizer: true");
    }
  }
  if (kind->is_in_text()) {
    const std::string& other = config.evaluation.folder;
    data::TokenDataOptions of_files = options;
    if (of_files.vocabulary == 0) of_files.vocabulary = tokenizer_->vocabulary();
    tokens_ = data::open_token_data(evaluates && !other.empty() ? other : data.folder, of_files);
    background_ = std::make_unique<data::BackgroundText>(*tokens_, *tokenizer_);
  }
  task_ = whole_task(*kind,
                     kind->make({.tokenizer = tokenizer_.get(), .background = background_.get()}));
}

std::string TaskData::description() const {
  std::string text = task_->name();
  if (tokenizer_) text += ", tokenizer " + tokenizer_->name();
  if (tokens_) text += ", background " + tokens_->path().string();
  return text + core::message(", vocabulary ", task_->vocabulary());
}

}  // namespace longhaul::launch
