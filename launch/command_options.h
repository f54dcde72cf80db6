// Options that several commands share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "data/token_data.h"
#include "kernels/core/context.h"
#include "kernels/core/dtype.h"
#include "launch/run_config.h"

namespace longhaul::launch {

class RankSession;

/// Decimal digits only (CLI11 alone reads 010 as 8), at least `least` and at most `most`.
CLI::Validator whole_number(int64_t least, int64_t most = std::numeric_limits<int64_t>::max());

/// A finite number between the two (CLI11's ranges take nan), ends included.
CLI::Validator number_within(double low, double high);

/// InputError for a word that is no command where one is required (the first argument, that of
/// eval): CLI11 alone says that one is missing.
void check_command_names(const CLI::App& program, const std::vector<std::string>& arguments);

/// InputError for the first option that no command chosen in `program` knows, after parsing it,
/// whether or not that went well: CLI11 alone tells first of what is missing.
void check_option_names(const CLI::App& program);

/// "--length" and so on: of the command and of its groups.
std::vector<std::string> option_names(const CLI::App& command);

/// A word to the reader, on standard error.
void note(const std::string& text);

/// InputError naming `option` where `file`, whose folder is made, could not be written after all
/// the work.
void check_can_write(const std::string& option, const std::filesystem::path& file);

struct ComputeOptions {
  std::string device = "auto";
  std::string dtype = "fp32";
  int64_t threads = 0;

  void describe(CLI::App& command);
  core::DType element_type() const;
};

/// --other-tokenizer, for what launch/given_tokens.h refuses.
void describe_other_tokenizer(CLI::App& command, bool& other);

/// What files of tokens may leave open.
void describe_token_files(CLI::App& command, data::TokenDataOptions& options);

core::Device choose_device(DeviceChoice choice, const RankSession& session);
/// Where choose_device took the CPU though it was free to take cuda.
std::string why_auto_is_cpu();
core::DType element_type(DTypeChoice choice);
/// Threads of this rank's CPU ops; 0: OMP_NUM_THREADS, or its share of the processors.
int choose_threads(int64_t wanted, const RankSession& session);
core::Context make_context(const ComputeOptions& options, const RankSession& session);

}  // namespace longhaul::launch
