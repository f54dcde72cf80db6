#pragma once

#include <filesystem>

#include "launch/run_config.h"

namespace longhaul::launch {

inline constexpr const char* kRunConfigFile = "run.yaml";

/// For the first rank: makes the folder, or finds that it may be a run's. InputError where it holds
/// something else.
void open_run_folder(const std::filesystem::path& folder);

/// For the first rank, under the folder's RunLock: writes run.yaml; `config` is resolved.
/// InputError if the run `resumes` and was computed from other values (their keys are named;
/// parallel.* may change).
void write_run_config(const RunConfig& config, bool resumes);

}  // namespace longhaul::launch
