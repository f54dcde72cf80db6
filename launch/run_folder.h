#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "data/tokenizer_files.h"
#include "launch/run_config.h"
#include "model/config.h"

namespace longhaul::launch {

inline constexpr const char* kRunConfigFile = "run.yaml";
inline constexpr const char* kRunModel = "model";          // folder
inline constexpr const char* kRunTokenizer = "tokenizer";  // folder

/// Absolute spellings of a path, without "." and a slash at its end: where it leads, then as it is
/// given, as RUN/model, RUN/checkpoints and what they hold may be links that lead out of the run. A
/// path with ".." has the first alone.
std::vector<std::filesystem::path> spellings_of(const std::filesystem::path& path);

/// Whether a run has trained here. A run.yaml alone may be one that is yet to be trained, or
/// another program's: what training leaves tells.
bool was_trained(const std::filesystem::path& folder);

/// For the first rank: what open_run_folder would refuse, without writing anything.
void check_run_folder(const std::filesystem::path& folder);

/// For the first rank: makes the folder, or finds that it may be a run's. InputError where it holds
/// something else.
void open_run_folder(const std::filesystem::path& folder);

/// For the first rank: InputError if the run of the folder, which is to be resumed after `step`,
/// was computed from other values than `config`, resolved (their keys are named; parallel.* may
/// change, and schedule.steps where the rates up to `step` stay what they were).
void check_resumption(const RunConfig& config, int64_t step);

/// The shape of the run that is to be resumed: that of its newest checkpoint, whatever has become
/// of model.from since, whose shape is `given`; `given` where there is no checkpoint. `warn`: says
/// where the two differ in what counts.
model::ModelConfig shape_to_resume(const RunConfig& config, const model::ModelConfig& given,
                                   bool warn);

/// For the first rank, under the folder's RunLock: writes run.yaml; `config` is resolved. Checked
/// before if the run resumes, after step `resume_from`.
void write_run_config(const RunConfig& config, std::optional<int64_t> resume_from);

/// For the first rank: the tokenizer of the run's tokens, for its checkpoints and its model.
void keep_tokenizer(const std::filesystem::path& run,
                    const std::vector<data::TokenizerFile>& files);

}  // namespace longhaul::launch
