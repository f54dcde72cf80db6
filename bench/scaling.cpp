// What a training step would cost on other machines: bench/scaling/README.md.
#include <CLI/CLI.hpp>
#include <exception>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/scaling/calibration.h"
#include "bench/scaling/document.h"
#include "bench/scaling/run_question.h"
#include "bench/scaling/search.h"
#include "bench/support/shapes.h"
#include "kernels/core/error.h"
#include "model/checkpoint/model_folder.h"

namespace {

using namespace longhaul;
using bench::Choice;
using bench::Sharing;

const CLI::Range kRanks(int64_t{1}, int64_t{1} << 16);

struct Machine {
  std::string network, device, ops, step;

  void describe(CLI::App& app) {
    app.add_option("--network", network, "YAML (bench/scaling/networks)")->required();
    app.add_option("--device", device, "YAML (bench/scaling/devices)")->required();
    app.add_option("--ops", ops, "op times of this device: what bench_ops printed");
    app.add_option("--train-step", step, "what bench_train_step --json wrote on one rank");
  }
  bench::Device read_device() const {
    bench::Device read = bench::read_device(device);
    if (!ops.empty()) bench::use_measured_ops(ops, read);
    if (!step.empty()) bench::use_measured_step(step, read);
    return read;
  }
};

struct Job {
  std::string model = "mamba2-1.3b";
  int64_t ranks = 8, length = 32768, sequences = 128;

  void describe(CLI::App& app) {
    app.add_option("--model", model,
                   "mamba2-130m … 2.7b, mamba1-130m … 2.8b, recall, text, or a model's folder")
        ->capture_default_str();
    app.add_option("--ranks", ranks, "all of them")->capture_default_str()->check(kRanks);
    app.add_option("--length", length, "tokens of a sequence")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    app.add_option("--sequences", sequences, "of an optimizer step, over all ranks")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
  }
  model::ModelConfig config() const {
    const auto shape = bench::shapes().find(model);
    if (shape != bench::shapes().end()) return shape->second.config;
    std::filesystem::path folder = model;
    if (folder.filename() == "config.json") folder = folder.parent_path();
    return model::read_model_config(folder);
  }
};

nlohmann::ordered_json json_of(const bench::Prediction& step) {
  return {{"seconds", step.seconds},
          {"computing_s", step.computing},
          {"exchange_s", step.exchange},
          {"reduction_s", step.reduction},
          {"gathering_s", step.gathering},
          {"control_s", step.control},
          {"bucket_mib", static_cast<double>(step.bucket_bytes) / (1 << 20)},
          {"memory_bytes", step.memory_bytes},
          {"exchange_bytes", step.exchange_bytes},
          {"source_bytes", step.source_bytes},
          {"gradient_bytes", step.gradient_bytes},
          {"parameter_bytes", step.parameter_bytes}};
}

nlohmann::ordered_json json_of(const Choice& choice, Sharing sharing) {
  nlohmann::ordered_json json{
      {"sharing", sharing == Sharing::kStates ? "states" : "heads"},
      {"data_ranks", choice.mesh.data},
      {"sequence_ranks", choice.mesh.sequence},
      {"exchange", enum_names(choice.algorithm)[static_cast<size_t>(choice.algorithm)]},
      {"micro_steps", choice.accumulation},
      {"recompute", choice.recompute}};
  json.update(json_of(choice.step));
  return json;
}

/// Every mesh and algorithm that fits, fastest first; head parallelism last.
void print_meshes(const Machine& machine, const Job& job) {
  const bench::Network network = bench::read_network(machine.network);
  const bench::Device device = machine.read_device();
  const model::ModelConfig config = job.config();
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Sharing sharing : {Sharing::kStates, Sharing::kHeads}) {
    const auto found = bench::choices({.model = config,
                                       .network = network,
                                       .device = device,
                                       .ranks = job.ranks,
                                       .length = job.length,
                                       .sequences = job.sequences,
                                       .sharing = sharing});
    for (const Choice& choice : found) {
      if (sharing == Sharing::kStates || choice.mesh.sequence > 1) {
        all.push_back(json_of(choice, sharing));
      }
    }
  }
  std::cout << all.dump(1) << "\n";
}

int run(int argc, char** argv) {
  CLI::App app{"Step time, memory and bytes of a training step on any mesh and network"};
  app.require_subcommand(1);
  Machine machine;
  Job job;
  std::string document;
  std::string files = "bench/scaling";
  bool write = false;
  CLI::App* mesh = app.add_subcommand("mesh", "every mesh and algorithm that fits, as JSON");
  machine.describe(*mesh);
  job.describe(*mesh);
  CLI::App* train = app.add_subcommand("run", "a step of a run's YAML, as JSON");
  std::string run_file;
  std::vector<std::string> overrides;
  machine.describe(*train);
  train->add_option("config", run_file, "as of longhaul train")->required();
  train->add_option("overrides", overrides, "key.path=value");
  train->add_option("--ranks", job.ranks, "all of them")->capture_default_str()->check(kRanks);
  CLI::App* tables = app.add_subcommand("tables", "the tables of SCALING.md");
  tables->add_option("--files", files, "folder of the YAML files and the check's results")
      ->capture_default_str();
  tables->add_option("document", document, "the page whose tables are checked")->required();
  tables->add_flag("--write", write, "renew them");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : (app.exit(error), 2);
  }
  if (mesh->parsed()) {
    print_meshes(machine, job);
    return 0;
  }
  if (train->parsed()) {
    const bench::RunQuestion question(run_file, overrides, job.ranks);
    const bench::Prediction step =
        question.predict(bench::read_network(machine.network), machine.read_device());
    std::cout << json_of(step).dump(1) << "\n";
    return 0;
  }
  return bench::renew_tables(document, bench::all_tables(files), write) || write ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const core::InputError& error) {
    std::cerr << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
