// What import and export have in common.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "launch/progress_bar.h"
#include "model/checkpoint/model_writing.h"
#include "model/checkpoint/stored_model.h"

namespace longhaul::launch {

/// The files of a model folder that other programs expect beside the weights (tokenizer and such),
/// as far as they are there.
std::vector<std::filesystem::path> companions_of(const std::filesystem::path& folder);

/// InputError where the tokenizer of `file` has tokens beyond a model's vocabulary.
void expect_room_for(const std::filesystem::path& file, int64_t vocabulary);

/// Token ids of the folder's config.json. Where it has none, and in a run whose config.json says
/// none: of the tokenizer beside it the end of document.
model::TokenIds token_ids_of(const std::filesystem::path& folder);

/// What is known of the token ids of a run's model: of its own config.json, of the model that the
/// run started from, of its tokenizer and of its data the end of document.
model::TokenIds token_ids_of_run(const std::filesystem::path& run,
                                 const std::filesystem::path& model);

/// The folder of the run that a model lies in, recognised by the names of RUN/run.yaml and
/// RUN/model (beside which training leaves checkpoints or metrics) or RUN/checkpoints/step-N; RUN
/// itself is its model.
std::optional<std::filesystem::path> run_of(const std::filesystem::path& model);

/// N, of a path that ends with checkpoints/step-N.
std::optional<int64_t> step_of_checkpoint(const std::filesystem::path& model);

/// "auto" is none: as stored.
std::optional<model::StoredType> chosen_type(const std::string& dtype);

/// "F32", or "BF16 (24 tensors F32)" where the tensors differ.
std::string types_of(const std::vector<model::TensorStream>& tensors,
                     std::optional<model::StoredType> type);

int64_t elements_of(const std::vector<model::TensorStream>& tensors);

/// Shows how much of the tensors has been written. From when it is made on SIGTERM, SIGINT, SIGHUP
/// and SIGUSR1 end the writing at its next piece: core::Error, so that nothing half written stays.
class ConversionProgress {
 public:
  ConversionProgress(const std::string& label, const std::vector<model::TensorStream>& tensors,
                     std::optional<model::StoredType> type);
  void operator()(int64_t bytes);

 private:
  std::string label_;
  ProgressBar bar_;
  int64_t total_ = 0, done_ = 0;
};

}  // namespace longhaul::launch
