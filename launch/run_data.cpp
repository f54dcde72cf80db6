#include "launch/run_data.h"

#include <algorithm>
#include <filesystem>

#include "data/held_out.h"
#include "eval/tasks/task_sequences.h"
#include "kernels/core/error.h"
#include "launch/given_tokens.h"
#include "launch/interruption.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::launch {

using core::message;

namespace {
constexpr const char* kOtherTokenizer = "data.other_tokenizer: true";

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

std::string size_of(const data::TokenData& tokens) {
  const std::string documents =
      tokens.knows_documents() ? message(", ", tokens.documents(), " documents") : "";
  return message(tokens.tokens(), " tokens", documents);
}
}  // namespace

RunData::RunData(const RunConfig& config) : config_(config) {
  const bool is_text = config.data.kind == DataKind::kTokens;
  const data::TokenDataOptions options = is_text ? options_for(config) : config.data.file;
  if (is_text) open_tokens(options);
  if (config.data.task() != nullptr) {
    task_ = std::make_unique<TaskData>(config, options, TaskData::Use::kTraining);
  }
  batches({.data_ranks = 1, .data_rank = 0, .rows = 1})->next();  // or what is wrong with the data
  if (config.evaluation.every > 0) prepare_evaluation(options);
}

void RunData::open_tokens(const data::TokenDataOptions& options) {
  const DataSection& data = config_.data;
  tokens_ = data::open_token_data(data.folder, options);
  expect_agreement(*tokens_, data.file,
                   {.vocabulary = "data.vocabulary", .end = "data.end_of_document"});
  if (config_.model.from.empty() || data.other_tokenizer) return;
  expect_same_tokenizer({data.folder, tokens_->tokenizer()}, tokenizer_known_to(config_.model.from),
                        kOtherTokenizer);
}

void RunData::prepare_evaluation(const data::TokenDataOptions& options) {
  const int64_t trained = config_.data.batch.length;
  const int64_t length = config_.evaluation.length;
  evaluation_options_.length = length > 0 ? length : 8 * trained;
  evaluation_options_.sequences = config_.evaluation.sequences;
  evaluation_options_.training_length = trained;
  evaluation_options_.seed = static_cast<uint64_t>(config_.run.seed);
  evaluation_options_.states = false;
  evaluation_options_.continuation.interrupted = [] { return interrupted(); };
  if (task_) {
    evaluation_task_ = std::make_unique<TaskData>(config_, options, TaskData::Use::kEvaluation);
    evaluation_ = eval::task_sequences(evaluation_task_->task(), evaluation_options_);
  } else if (!tokens_) {
    evaluation_ = eval::recall_sequences(config_.data.recall, evaluation_options_);
  } else {
    if (!config_.evaluation.folder.empty()) {
      evaluation_tokens_ = data::open_token_data(config_.evaluation.folder, options);
    }
    const data::TokenData& read = evaluation_tokens_ ? *evaluation_tokens_ : *tokens_;
    if (read.vocabulary() > tokens_->vocabulary()) {
      throw core::InputError(message("evaluation.folder: has a vocabulary of ", read.vocabulary(),
                                     ", data.folder one of ", tokens_->vocabulary()));
    }
    if (!config_.data.other_tokenizer) {
      expect_same_tokenizer({config_.evaluation.folder, read.tokenizer()},
                            {config_.data.folder, tokens_->tokenizer()}, kOtherTokenizer);
    }
    evaluation_ = eval::text_sequences(read, evaluation_options_);
  }
  // A prompt that does not fit into the length is refused now, not after training.
  constexpr int64_t kTried = 16;
  for (int64_t i = 0; i < std::min(kTried, evaluation_.count); ++i) {
    evaluation_.reader_of(i);
  }
}

int64_t RunData::vocabulary() const {
  if (task_) return task_->task().vocabulary();
  return tokens_ ? tokens_->vocabulary() : config_.data.recall.vocabulary();
}

std::unique_ptr<data::BatchSource> RunData::batches(data::RowShare share) const {
  share.skip_bad_rows = config_.data.skip_bad_rows;
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
  // No larger than a micro-step: what the memory plan promises holds for evaluations too.
  const trainer::BatchConfig& trained = config_.data.batch;
  const int64_t rows = trained.sequences / (trained.accumulation * mesh.shape().data);
  eval::CurveOptions options = evaluation_options_;
  options.batch = std::min(options.batch, rows);
  options.piece = std::min(options.piece, trained.length / trained.segments);
  return evaluate_curve(mesh, model, evaluation_, options);
}

std::vector<data::TokenizerFile> RunData::tokenizer_files() const {
  const std::string specification =
      tokens_ ? tokens_->kept_tokenizer().string() : config_.data.tokenizer;
  if (specification.empty()) return {};
  return data::read_tokenizer_files(specification);
}

std::string RunData::description() const {
  if (task_) return task_->description();
  const auto& recall = config_.data.recall;
  if (tokens_) {
    return message(tokens_->path().string(), ": ", size_of(*tokens_), ", vocabulary ",
                   tokens_->vocabulary());
  }
  return message("recall: ", recall.keys, " keys, ", recall.values, " values, reach ",
                 recall.reach);
}

std::string RunData::evaluation_on_trained() const {
  const DataSection& data = config_.data;
  const EvaluationSection& asked = config_.evaluation;
  std::string read, keys;
  const auto add = [&](const std::string& what, const std::string& key) {
    read += (read.empty() ? "" : " and ") + what;
    keys += (keys.empty() ? "" : " and ") + key;
  };
  const data::TaskKind* task = data.task();
  const bool reads_text = tokens_ || (task != nullptr && task->is_in_text());
  const bool is_same_text =
      asked.folder.empty() || asked.folder == data.folder ||
      (evaluation_tokens_ && evaluation_tokens_->fingerprint() == tokens_->fingerprint());
  if (is_same_text && reads_text) add(data.folder, "evaluation.folder");
  if (task != nullptr) {
    for (const auto& [value, setting] : task->same_data()) add(value, setting);
  }
  if (read.empty()) return "";
  const std::filesystem::path held_out = data::held_out_beside(data.folder);
  const bool is_there = is_same_text && std::filesystem::exists(held_out);
  return message(read, ", trained on: its numbers are not of unseen data; ", keys,
                 is_there ? message(" can name held-out data (", held_out.string(), " is there)")
                          : std::string(" can name held-out data"));
}

std::string RunData::evaluation_description() const {
  if (config_.evaluation.every == 0) return "";
  const std::string trained = evaluation_on_trained();
  if (!trained.empty() || !evaluation_tokens_) return trained;
  return message(evaluation_tokens_->path().string(), ": ", size_of(*evaluation_tokens_));
}

std::string RunData::map() const {
  const std::string evaluation = evaluation_description();
  return message("data           ", description(), "\n",
                 evaluation.empty() ? "" : message("evaluation     ", evaluation, "\n"));
}

}  // namespace longhaul::launch
