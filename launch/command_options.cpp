#include "launch/command_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>

#include "kernels/core/cuda_memory.h"
#include "launch/rank_session.h"
#include "launch/yaml_reader.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::launch {

CLI::Validator whole_number(int64_t least, int64_t most) {
  return CLI::Validator(
      [least, most](std::string& text) -> std::string {
        YamlNode node;
        node.kind = YamlNode::Kind::kScalar;
        node.text = text;
        int64_t value = 0;
        std::string wrong = read_scalar(node, value);
        if (wrong.empty() && value < least) {
          wrong = core::message("must be at least ", least, ", is ", value);
        }
        if (wrong.empty() && value > most) {
          wrong = core::message("must be at most ", most, ", is ", value);
        }
        return wrong;
      },
      "", "whole number");
}

CLI::Validator number_within(double low, double high) {
  return CLI::Validator(
      [low, high](std::string& text) -> std::string {
        YamlNode node;
        node.kind = YamlNode::Kind::kScalar;
        node.text = text;
        double value = 0;
        const std::string wrong = read_scalar(node, value);
        if (!wrong.empty() || (std::isfinite(value) && value >= low && value <= high)) return wrong;
        const bool has_end = high < std::numeric_limits<double>::max();
        return core::message("must be a finite number ", has_end ? "from " : "that is at least ",
                             low, has_end ? core::message(" to ", high) : "", ", is ", text);
      },
      "", "number");
}

namespace {

[[noreturn]] void refuse_name(const char* what, const std::string& name,
                              const std::vector<std::string>& names, const std::string& help) {
  const std::string near = close_match(name, names);
  throw core::InputError(core::message("unknown ", what, " '", name, "'",
                                       near.empty() ? "" : ", did you mean " + near + "?", " (see ",
                                       help, "--help)"));
}

/// Those of the groups in it (to CLI11 applications without a name) too.
void append_option_names(const CLI::App& command, std::vector<std::string>& names) {
  for (const CLI::Option* option : command.get_options({})) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  for (const CLI::App* group : command.get_subcommands({})) {
    if (group->get_name().empty()) append_option_names(*group, names);
  }
}

}  // namespace

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  append_option_names(command, names);
  return names;
}

void check_command_names(const CLI::App& program, const std::vector<std::string>& arguments) {
  const CLI::App* command = &program;
  std::string help;
  for (const std::string& word : arguments) {
    if (command->get_require_subcommand_min() == 0 || word.rfind('-', 0) == 0) return;
    std::vector<std::string> names;
    const CLI::App* chosen = nullptr;
    for (const CLI::App* candidate : command->get_subcommands({})) {
      names.push_back(candidate->get_name());
      if (candidate->get_name() == word) chosen = candidate;
    }
    if (chosen == nullptr) {
      refuse_name(command == &program ? "command" : "measure", word, names, help);
    }
    command = chosen;
    help += word + " ";
  }
}

void check_option_names(const CLI::App& program) {
  const CLI::App* command = &program;
  std::string help;
  while (true) {
    const auto chosen = command->get_subcommands();
    if (chosen.empty()) break;
    command = chosen.front();
    help += command->get_name() + " ";
  }
  for (const std::string& word : program.remaining(true)) {
    if (word.rfind("--", 0) != 0 || word == "--") continue;
    refuse_name("option", word.substr(0, word.find('=')), option_names(*command), help);
  }
}

void note(const std::string& text) { std::cerr << "longhaul: note: " + text + "\n" << std::flush; }

void check_can_write(const std::string& option, const std::filesystem::path& file) {
  if (std::filesystem::is_directory(file)) {
    throw core::InputError(
        core::message(option, ": ", file.string(), " is a folder, expected a file"));
  }
  try {
    model::make_folder_of(file);
    const model::AtomicFile probe(file);
  } catch (const core::Error& error) {
    throw core::InputError(option + ": " + error.what());
  }
}

void ComputeOptions::describe(CLI::App& command) {
  command.add_option("--device", device, "auto | cpu | cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command.add_option("--dtype", dtype, "fp32 | bf16 (on cuda; states in fp32) | fp64 (on the cpu)")
      ->check(CLI::IsMember({"fp32", "bf16", "fp64"}))
      ->capture_default_str();
  command
      .add_option("--threads", threads,
                  "threads of a rank; 0: OMP_NUM_THREADS, or its share of the processors")
      ->check(whole_number(0))
      ->capture_default_str();
}

void describe_other_tokenizer(CLI::App& command, bool& other) {
  command.add_flag("--other-tokenizer", other,
                   "go on where the tokens are of another tokenizer than is known here");
}

void describe_token_files(CLI::App& command, data::TokenDataOptions& options) {
  command
      .add_option(
          "--vocabulary", options.vocabulary,
          "tokens there can be, for files that do not say it; default: as many as the model "
          "or tokenizer has")
      ->check(whole_number(1));
  command
      .add_option("--data-end", options.end_of_document,
                  "token that ends a document, for files that do not say where documents end")
      ->check(whole_number(0));
  const auto choose = [&options](const std::string& name) {
    const auto& names = enum_names(options.element);
    const auto found = std::find(names.begin(), names.end(), name);
    options.element = static_cast<data::FlatElement>(found - names.begin());
  };
  command.add_option_function<std::string>("--element", choose, "of a flat .bin: auto | u16 | u32")
      ->check(CLI::IsMember({"auto", "u16", "u32"}))
      ->default_str("auto");
}

core::DType ComputeOptions::element_type() const {
  return launch::element_type(dtype == "fp64"   ? DTypeChoice::kF64
                              : dtype == "bf16" ? DTypeChoice::kBF16
                                                : DTypeChoice::kF32);
}

core::Device choose_device(DeviceChoice choice, const RankSession& session) {
  if (choice == DeviceChoice::kCuda && !core::cuda_available()) {
    throw core::InputError(
        core::message("device: cuda cannot be used: ", core::cuda_unavailable_reason(),
                      "; expected cpu or auto"));
  }
  const bool can_share = session.size() == 1 || dist::nccl_available();
  if (choice == DeviceChoice::kCuda && !can_share) {
    throw core::InputError(core::message("device: cuda cannot be used by ", session.size(),
                                         " ranks: ", dist::nccl_unavailable_reason(),
                                         "; expected cpu or auto, or one rank"));
  }
  if (choice == DeviceChoice::kCpu || !core::cuda_available() || !can_share) return {};
  return {.kind = core::DeviceKind::kCuda,
          .index = session.local_rank() % core::cuda_device_count()};
}

std::string why_auto_is_cpu() {
  return core::cuda_available() ? dist::nccl_unavailable_reason() : core::cuda_unavailable_reason();
}

core::DType element_type(DTypeChoice choice) {
  switch (choice) {
    case DTypeChoice::kF64:
      return core::DType::kF64;
    case DTypeChoice::kBF16:
      return core::DType::kBF16;
    default:
      return core::DType::kF32;
  }
}

namespace {
/// OMP_NUM_THREADS (of a list, as for nested parallel regions, its first); 0 where it says nothing.
int64_t threads_of_job() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  if (text == nullptr) return 0;
  int64_t threads = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), threads);
  const bool is_number = error == std::errc() && (*end == '\0' || *end == ',');
  return is_number && threads > 0 ? threads : 0;
}
}  // namespace

int choose_threads(int64_t wanted, const RankSession& session) {
  if (wanted == 0) wanted = threads_of_job();
  if (wanted > 0) return static_cast<int>(std::min<int64_t>(wanted, 1024));
  return std::max(1, core::available_threads() / session.ranks_on_same_processors());
}

core::Context make_context(const ComputeOptions& options, const RankSession& session) {
  const DeviceChoice choice = options.device == "cuda"  ? DeviceChoice::kCuda
                              : options.device == "cpu" ? DeviceChoice::kCpu
                                                        : DeviceChoice::kAuto;
  const core::Device device = choose_device(choice, session);
  if (!device.is_cpu() && options.dtype == "fp64") {
    throw core::InputError("--dtype: fp64 is there for the cpu only");
  }
  if (device.is_cpu() && options.dtype == "bf16") {
    const std::string why = choice == DeviceChoice::kCpu ? "--device is cpu" : why_auto_is_cpu();
    throw core::InputError(core::message("--dtype: bf16 is there for cuda only; ", why));
  }
  return core::Context(device, choose_threads(options.threads, session));
}

}  // namespace longhaul::launch
