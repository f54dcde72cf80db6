// A run's YAML as structs. Sections: model, data, initial_state, parallel, optimizer, schedule,
// checkpoint, evaluation, run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/recall_task.h"
#include "data/token_data.h"
#include "dist/state_exchange.h"
#include "kernels/core/fields.h"
#include "launch/task_settings.h"
#include "model/config.h"
#include "trainer/config.h"

namespace longhaul::launch {

struct ModelSection {
  std::string from;          ///< model folder to start from; "" trains `shape` from scratch
  model::ModelConfig shape;  ///< ignored (and refused if given) where `from` is

  template <class V>
  void visit(V& v) {
    v.field("from", from, "model folder to start from; empty: train `shape` from scratch");
    v.section("shape", shape);
  }
};

/// kTokens, kRecall, and from kFirstTask on task_kinds() (launch/task_settings.h) in their order.
enum class DataKind : uint8_t { kTokens, kRecall, kFirstTask };
const std::vector<std::string_view>& enum_names(DataKind);
const char* data_kinds_help();  ///< "tokens | recall | …"
/// That of this name; CHECKs that there is one.
DataKind data_kind(std::string_view name);

struct DataSection {
  DataKind kind = DataKind::kTokens;
  std::string folder;  ///< token folder, or files of tokens that others made
  data::TokenDataOptions file;
  std::string tokenizer;  ///< of tasks in words; "": the model's
  bool other_tokenizer = false, skip_bad_rows = false;
  data::RecallTask recall;
  TaskSettings tasks;
  trainer::BatchConfig batch;

  /// The task with its settings; nullptr: tokens or recall.
  const data::TaskKind* task() const {
    if (kind < DataKind::kFirstTask) return nullptr;
    return &tasks.at(static_cast<size_t>(kind) - static_cast<size_t>(DataKind::kFirstTask));
  }

  template <class V>
  void visit(V& v) {
    v.field("kind", kind, data_kinds_help());
    v.field("folder", folder,
            "tokens: token folder made by longhaul tokenize; or .npy, .bin (flat, llm.c, Megatron) "
            "or a folder of them. Tasks in text: that text");
    v.field("vocabulary", file.vocabulary,
            "tokens there can be, for files that do not say it; 0: as many as the model has",
            core::AtLeast{0});
    v.field("end_of_document", file.end_of_document,
            "token that ends a document, for files that do not say it; -1: not known",
            core::AtLeast{-1});
    v.field("element", file.element, "auto | u16 | u32, of a flat .bin");
    v.field("tokenizer", tokenizer,
            "tasks in words: byte, a tokenizer.json, a tokenizer.model, or a "
            "folder with one of "
            "them; empty: that of model.from, bytes from scratch");
    v.field("other_tokenizer", other_tokenizer,
            "go on where the tokens are of another tokenizer than model.from's");
    v.field("skip_bad_rows", skip_bad_rows,
            "tokens: rows with tokens outside the vocabulary count for nothing, with a warning, in "
            "place of an error");
    v.section("recall", recall);
    tasks.visit(v);
    batch.visit(v);  // length, sequences, accumulation, segments, recompute
  }
};

enum class GradientMode { kFull, kTruncated };
inline const std::vector<std::string_view>& enum_names(GradientMode) {
  static const std::vector<std::string_view> names{"full", "truncated"};
  return names;
}

/// A size in MiB where 0 is automatic.
struct ZeroOrWithin {
  double low, high;
  std::string operator()(double value) const {
    const bool fits = value == 0 || (value >= low && value <= high);
    return fits ? "" : core::message("must be 0 or from ", low, " to ", high);
  }
};

struct ParallelSection {
  int64_t data = 0;  ///< 0: all ranks over `sequence`
  int64_t sequence = 1;
  dist::ExchangeAlgorithm exchange = dist::ExchangeAlgorithm::kAutomatic;
  GradientMode gradient = GradientMode::kFull;
  int64_t zero = 0;
  bool cuda_graphs = false;
  double bucket_mib = 0;
  double time_limit_s = 300;
  double straggler_window_s = 30;
  int64_t threads = 0;

  template <class V>
  void visit(V& v) {
    v.field("data", data,
            "data-parallel ranks; 0: as many as mpirun started, divided by `sequence`",
            core::AtLeast{0});
    v.field("sequence", sequence, "ranks that share each sequence", core::AtLeast{1});
    v.field("exchange", exchange, "auto | all_gather | chain | log_step");
    v.field("gradient", gradient, "full | truncated, across the borders of sequence ranks");
    v.field("zero", zero,
            "1: each rank holds and updates its share of the optimizer's moments (ZeRO-1); 0: each "
            "rank all of them. The results are the same bits",
            core::Within{0, 1});
    v.field(
        "cuda_graphs", cuda_graphs,
        "on cuda with parallel.sequence 1: record forward and backward once and start them as a "
        "whole from then on; the results are the same bits");
    v.field("bucket_mib", bucket_mib, "size of a gradient bucket; 0: 4 on the CPU, 32 on GPUs",
            ZeroOrWithin{1e-3, 1e6});
    v.field("time_limit_s", time_limit_s,
            "longest wait for other ranks before the job is ended; one that writes or evaluates "
            "what others have no share of is waited for as long as it answers",
            core::Above{0});
    v.field("straggler_window_s", straggler_window_s,
            "seconds over which the ranks' times are compared on the CPU: one that stays 1.3 times "
            "over the median is warned of; 0: never",
            core::AtLeast{0});
    v.field(
        "threads", threads,
        "threads of a rank on the CPU; 0: OMP_NUM_THREADS, where that is not set its share of the "
        "node's processors",
        core::AtLeast{0});
  }
};

struct EvaluationSection {
  int64_t every = 0;
  std::string folder;  ///< token folder; "": the training data's (recall: the task itself)
  int64_t length = 0;  ///< 0: 8 × the training length
  int64_t sequences = 8;

  template <class V>
  void visit(V& v) {
    v.field("every", every, "steps between evaluations during training; 0: none", core::AtLeast{0});
    v.field("folder", folder,
            "token folder (tasks in text: of that text); empty: the training data, which "
            "the log then says");
    v.field("length", length, "tokens of an evaluation sequence; 0: 8 × data.length",
            core::AtLeast{0});
    v.field("sequences", sequences, "evaluation sequences", core::AtLeast{1});
  }
};

enum class DeviceChoice { kAuto, kCpu, kCuda };
inline const std::vector<std::string_view>& enum_names(DeviceChoice) {
  static const std::vector<std::string_view> names{"auto", "cpu", "cuda"};
  return names;
}
enum class DTypeChoice { kF32, kBF16, kF64 };
inline const std::vector<std::string_view>& enum_names(DTypeChoice) {
  static const std::vector<std::string_view> names{"fp32", "bf16", "fp64"};
  return names;
}

struct RunSection {
  std::string folder;  ///< where everything of the run is written
  int64_t seed = 1;
  DeviceChoice device = DeviceChoice::kAuto;
  DTypeChoice dtype = DTypeChoice::kF32;
  int64_t log_every = 10;

  template <class V>
  void visit(V& v) {
    v.field("folder", folder, "run folder: everything of the run is written there");
    v.field("seed", seed, "of all random numbers", core::AtLeast{0});
    v.field("device", device, "auto | cpu | cuda");
    v.field("dtype", dtype,
            "fp32 | bf16 (on cuda; masters and states in fp32) | fp64 (on the cpu)");
    v.field("log_every", log_every, "steps between lines on the terminal", core::AtLeast{1});
  }
};

struct RunConfig {
  ModelSection model;
  DataSection data;
  trainer::InitialStateConfig initial_state;
  ParallelSection parallel;
  trainer::OptimizerConfig optimizer;
  trainer::ScheduleConfig schedule;
  trainer::CheckpointConfig checkpoint;
  EvaluationSection evaluation;
  RunSection run;

  template <class V>
  void visit(V& v) {
    v.section("model", model);
    v.section("data", data);
    v.section("initial_state", initial_state);
    v.section("parallel", parallel);
    v.section("optimizer", optimizer);
    v.section("schedule", schedule);
    v.section("checkpoint", checkpoint);
    v.section("evaluation", evaluation);
    v.section("run", run);
  }
};

/// Reads YAML, then applies `key.path=value` overrides. Unknown or repeated keys, wrong types,
/// broken rules and impossible combinations are all reported together (InputError; "NAME:LINE: key:
/// …"). `name` stands for the file in messages.
RunConfig parse_run_config(const std::string& yaml_text, const std::string& name,
                           const std::vector<std::string>& overrides = {});
RunConfig read_run_config(const std::string& path, const std::vector<std::string>& overrides = {});

/// The resolved configuration as YAML that parse_run_config reads back to the same values.
std::string to_yaml(const RunConfig& config);

/// Of the fields that make two runs the same computation. Left out is what a resumed run may
/// change: the mesh, device, memory and places of files (parallel.* but for `gradient`, run.device,
/// data.recompute, data.folder and other paths), and what only looks on (run.folder, run.log_every,
/// checkpoint.*, evaluation.*). Samplers know their data by its fingerprint.
uint64_t computation_hash(const RunConfig& config);

/// Keys of those fields in which two configurations differ; model.shape.* only where both give it.
std::vector<std::string> computation_differences(const RunConfig& a, const RunConfig& b);

/// Keys that say what an evaluation measures and differ.
std::vector<std::string> evaluation_differences(const RunConfig& a, const RunConfig& b);

/// Keys that differ and leave the computation the same but for the order of its sums: mesh,
/// algorithm of the exchange, device.
std::vector<std::string> rounding_differences(const RunConfig& a, const RunConfig& b);

}  // namespace longhaul::launch
