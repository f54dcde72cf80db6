#include "launch/run_data.h"

#include <algorithm>

#include "eval/tasks/task_sequences.h"
#include "kernels/core/error.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::launch {

using core::message;

namespace {
/// What files of others do not say: their vocabulary is as large as the model's.
data::TokenDataOptions options_for(const RunConfig& config) {
  data::TokenDataOptions options = config.data.file;
  if (options.vocabulary == 0) {
    options.vocabulary = config.model.from.empty()
                             ? config.model.shape.vocabulary
                             : model::read_model_config(config.model.from).vocabulary;
  }
  return options;
}
}  // namespace

RunData::RunData(const RunConfig& config) : config_(config) {
  if (is_task(config.data.kind)) task_ = std::make_unique<TaskData>(config, config.data.file);
  if (config.data.kind != DataKind::kTokens) return;
  const data::TokenDataOptions options = options_for(config);
  tokens_ = data::open_token_data(config.data.folder, options);
  if (config.evaluation.every == 0 || config.evaluation.folder.empty()) return;
  evaluation_ = data::open_token_data(config.evaluation.folder, options);
  if (evaluation_->vocabulary() > tokens_->vocabulary()) {
    throw core::InputError(message("evaluation.folder: has a vocabulary of ",
                                   evaluation_->vocabulary(), ", data.folder one of ",
                                   tokens_->vocabulary()));
  }
}

int64_t RunData::vocabulary() const {
  if (task_) return task_->task().vocabulary();
  return tokens_ ? tokens_->vocabulary() : config_.data.recall.vocabulary();
}

std::unique_ptr<data::BatchSource> RunData::batches(const data::RowShare& share) const {
  const int64_t length = config_.data.batch.length;
  const auto seed = static_cast<uint64_t>(config_.run.seed);
  const bool lanes = config_.initial_state.source == trainer::SourceKind::kTbtt;
  if (task_) return data::make_task_source(task_->task(), length, seed, share, lanes);
  if (!tokens_) return data::make_recall_source(config_.data.recall, length, seed, share, lanes);
  if (!lanes) return data::make_random_sampler(*tokens_, length, seed, share);
  return data::make_lane_sampler(*tokens_, length, seed, share,
                                 {.reset_at_documents = config_.initial_state.reset_at_documents});
}

eval::PositionCurve RunData::evaluate(const dist::Mesh& mesh, model::LanguageModel& model) const {
  eval::CurveOptions options;
  options.length = config_.evaluation.length;
  options.sequences = config_.evaluation.sequences;
  options.training_length = config_.data.batch.length;
  options.seed = static_cast<uint64_t>(config_.run.seed);
  options.states = false;
  if (task_) {
    return evaluate_curve(mesh, model, eval::task_sequences(task_->task(), options), options);
  }
  if (!tokens_) return eval::evaluate_recall(mesh, model, config_.data.recall, options);
  return eval::evaluate_text(mesh, model, evaluation_ ? *evaluation_ : *tokens_, options);
}

std::string RunData::description() const {
  if (task_) return task_->description();
  const auto& recall = config_.data.recall;
  if (tokens_) {
    return message(tokens_->path().string(), ": ", tokens_->tokens(), " tokens, ",
                   tokens_->documents(), " documents, vocabulary ", tokens_->vocabulary());
  }
  return message("recall: ", recall.keys, " keys, ", recall.values, " values, reach ",
                 recall.reach);
}

}  // namespace longhaul::launch
