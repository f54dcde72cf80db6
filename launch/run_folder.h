#pragma once

#include <filesystem>
#include <vector>

#include "data/tokenizer_files.h"
#include "launch/run_config.h"

namespace longhaul::launch {

inline constexpr const char* kRunConfigFile = "run.yaml";
inline constexpr const char* kRunTokenizer = "tokenizer";  // folder

/// For the first rank: makes the folder, or finds that it may be a run's. InputError where it holds
/// something else.
void open_run_folder(const std::filesystem::path& folder);

/// For the first rank, under the folder's RunLock: writes run.yaml; `config` is resolved.
/// InputError if the run `resumes` and was computed from other values (their keys are named;
/// parallel.* may change).
void write_run_config(const RunConfig& config, bool resumes);

/// For the first rank: the tokenizer of the run's tokens, for its checkpoints and its model.
void keep_tokenizer(const std::filesystem::path& run,
                    const std::vector<data::TokenizerFile>& files);

}  // namespace longhaul::launch
