#include "launch/task_data.h"

#include <utility>
#include <vector>

#include "data/tasks/babi_file.h"
#include "data/tasks/babilong_prompts.h"
#include "data/tasks/babilong_task.h"
#include "data/tasks/copy_task.h"
#include "data/tasks/passkey_task.h"
#include "kernels/core/error.h"
#include "launch/babilong_wording.h"
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
  if (data.kind == DataKind::kCopy) {
    task_ = data::make_copy_task(data.copy);
    return;
  }
  tokenizer_ = data::make_tokenizer(tokenizer_of(config));
  if (!config.model.from.empty() && !data.other_tokenizer) {
    expect_same_tokenizer({"data.tokenizer", tokenizer_->name()},
                          tokenizer_known_to(config.model.from), "data.other_tokenizer: true");
  }
  if (data.kind == DataKind::kPasskey)
    task_ = data::make_passkey_task(*tokenizer_);
  else
    make_babilong(config, options, use);
}

void TaskData::make_babilong(const RunConfig& config, const data::TokenDataOptions& options,
                             Use use) {
  const bool evaluates = use == Use::kEvaluation;
  const auto chosen = [&](const std::string& of_evaluation, const std::string& of_training) {
    return evaluates && !of_evaluation.empty() ? of_evaluation : of_training;
  };
  const std::string folder = chosen(config.evaluation.folder, config.data.folder);
  const std::string stories = chosen(config.evaluation.stories, config.data.babilong.stories);
  data::TokenDataOptions of_files = options;
  if (of_files.vocabulary == 0) of_files.vocabulary = tokenizer_->vocabulary();
  tokens_ = data::open_token_data(folder, of_files);
  background_ = std::make_unique<data::BackgroundText>(*tokens_, *tokenizer_);
  data::BabilongPrompt prompt = config.data.babilong.prompt;
  prompt.wording = read_babilong_wording(config.data.babilong.prompts);
  std::vector<std::unique_ptr<data::Task>> tasks;
  for (const auto& file :
       data::find_babi_files(stories, evaluates ? "test" : "train", data::kBabilongTasks))
    tasks.push_back(data::make_babilong_task(file, *tokenizer_, background_.get(), prompt));
  task_ = data::make_mixture("babilong", std::move(tasks));
}

std::string TaskData::description() const {
  std::string text = task_->name();
  if (tokenizer_) text += ", tokenizer " + tokenizer_->name();
  if (tokens_) text += ", background " + tokens_->path().string();
  return text + core::message(", vocabulary ", task_->vocabulary());
}

}  // namespace longhaul::launch
