#include "launch/run_plan.h"

#include <sstream>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"
#include "launch/command_options.h"
#include "launch/run_rules.h"
#include "launch/text_table.h"
#include "launch/trainer_settings.h"
#include "model/architecture.h"
#include "model/checkpoint/model_folder.h"
#include "model/memory_plan.h"

namespace longhaul::launch {

using core::message;

namespace {

std::string line(const char* name, const std::string& text) {
  std::string padded(name);
  padded.resize(15, ' ');
  return padded + text + "\n";
}

core::DeviceKind planned_device(const RunSection& run) {
  const bool is_asked = run.device == DeviceChoice::kCuda || run.dtype == DTypeChoice::kBF16;
  const bool is_found =
      run.device == DeviceChoice::kAuto && run.dtype == DTypeChoice::kF32 && core::cuda_available();
  return is_asked || is_found ? core::DeviceKind::kCuda : core::DeviceKind::kCpu;
}

/// What is not of the pool.
std::string beside_pool(const RunPlan& plan) {
  const std::string copy =
      message(size_text(plan.memory.checkpoint_copy), " while a checkpoint is written");
  if (plan.device == core::DeviceKind::kCpu) {
    return message("up to ", size_text(plan.memory.buckets_under_way),
                   " for buckets of gradients under way, ", copy);
  }
  return message(
      "on the host ", copy,
      "; on the device what CUDA and NCCL hold themselves (in no plan: a run prints it)");
}

/// Whether the source keeps states of that kind from one micro-step to the next.
bool is_kept(const trainer::InitialStateConfig& initial, model::StateKind kind) {
  if (initial.source == trainer::SourceKind::kTbtt) return true;
  return initial.source == trainer::SourceKind::kStatePassing &&
         (kind == model::StateKind::kRecurrent || initial.pass_conv);
}

/// Bytes of a training checkpoint: parameters, both moments, and the states that the source keeps.
int64_t checkpoint_bytes(const RunConfig& config, const RunPlan& plan) {
  const core::DType dtype = element_type(config.run.dtype);
  const int64_t element = core::size_of(dtype == core::DType::kF64 ? dtype : core::DType::kF32);
  const int64_t sequences = config.data.batch.sequences / config.data.batch.accumulation;
  return 3 * plan.parameters * element + sequences * plan.passed_bytes;
}

/// As the trainer's StateExchange settles it.
dist::ExchangeAlgorithm exchange_of(const RunConfig& config, const model::ModelConfig& shape,
                                    const RunPlan& plan) {
  if (config.parallel.exchange != dist::ExchangeAlgorithm::kAutomatic) {
    return config.parallel.exchange;
  }
  return dist::cheapest_exchange(model::exchange_question(shape, plan.rows, plan.mesh.sequence,
                                                          plan.device == core::DeviceKind::kCpu));
}

}  // namespace

RunConfig resolve(const RunConfig& config, int64_t ranks, int64_t data_vocabulary,
                  model::ModelConfig& shape) {
  RunConfig resolved = config;
  resolved.parallel.data = data_ranks(config, ranks);
  if (resolved.evaluation.length == 0) resolved.evaluation.length = 8 * config.data.batch.length;
  const bool loaded = !config.model.from.empty();
  if (loaded) {
    shape = model::read_model_config(config.model.from);
  } else {
    model::ModelConfig& given = resolved.model.shape;
    if (given.vocabulary == 0) given.vocabulary = data_vocabulary;
    given.settle();
    shape = given;
  }
  if (shape.vocabulary < data_vocabulary) {
    throw core::InputError(message(loaded ? "model.from" : "model.shape.vocabulary",
                                   ": has a vocabulary of ", shape.vocabulary, ", the data needs ",
                                   data_vocabulary));
  }
  return resolved;
}

RunPlan plan_run(const RunConfig& config, const model::ModelConfig& shape, int64_t ranks,
                 int threads) {
  const auto& batch = config.data.batch;
  const int64_t sequence = config.parallel.sequence;
  const core::DType dtype = element_type(config.run.dtype);
  RunPlan plan;
  plan.device = planned_device(config.run);
  plan.mesh = {.data = static_cast<int>(config.parallel.data),
               .sequence = static_cast<int>(sequence)};
  plan.rows = batch.sequences / batch.accumulation / config.parallel.data;
  plan.exchange = exchange_of(config, shape, plan);
  for (const auto& parameter : model::parameters_of(shape)) {
    plan.parameters += parameter.shape.elements();
  }
  plan.tokens = config.schedule.steps * batch.sequences * batch.length;
  for (const auto& spec : model::state_specs_of(shape)) {
    const int64_t bytes = spec.shape.elements() * core::size_of(core::state_dtype(dtype));
    plan.state_bytes += bytes;
    if (is_kept(config.initial_state, spec.kind)) plan.passed_bytes += bytes;
  }
  plan.checkpoint = checkpoint_bytes(config, plan);
  plan.block_bytes = model::shared_bytes_needed(shape, plan.device, dtype);

  trainer::TrainerConfig settings = trainer_config(config, plan.device);
  settings.exchange = plan.exchange;
  const trainer::MemoryQuestion question{.model = shape,
                                         .device = plan.device,
                                         .dtype = dtype,
                                         .trainer = settings,
                                         .mesh = plan.mesh,
                                         .threads = threads};
  plan.memory = trainer::plan_memory(question);
  settings.batch.recompute = !settings.batch.recompute;
  plan.other_peak = trainer::plan_memory(question).peak;

  const int64_t one_way = plan.parameters * core::size_of(dtype) * (ranks - 1) / ranks;
  const bool shards = config.parallel.zero == 1;
  plan.gradient_traffic = shards ? one_way : 2 * one_way;
  plan.parameter_traffic = shards ? one_way : 0;
  if (sequence > 1) {
    const int directions = config.parallel.gradient == GradientMode::kFull ? 2 : 1;
    const bool with_decays = plan.exchange != dist::ExchangeAlgorithm::kChain;
    const int64_t decays =
        shape.layers * shape.log_decays() * core::size_of(core::state_dtype(dtype));
    plan.exchange_traffic = batch.accumulation * batch.segments * directions * plan.rows *
                            (plan.state_bytes + (with_decays ? decays : 0));
  }
  return plan;
}

int64_t host_bytes(const RunPlan& plan) {
  return plan.device == core::DeviceKind::kCpu ? plan.memory.reserved : 0;
}

int64_t device_bytes(const RunPlan& plan) {
  return plan.device == core::DeviceKind::kCpu ? 0 : plan.memory.peak;
}

std::string describe(const RunPlan& plan, const RunConfig& config) {
  const auto& batch = config.data.batch;
  const auto& memory = plan.memory;
  const bool is_cpu = plan.device == core::DeviceKind::kCpu;
  const int64_t named =
      memory.parameters + memory.gradients + memory.optimizer + memory.states + memory.activations;
  std::ostringstream out;
  out << "mesh           " << plan.mesh.data << " data × " << plan.mesh.sequence
      << " sequence ranks\n"
      << "batch          " << batch.sequences << " sequences × " << batch.length << " tokens; "
      << plan.rows << " a micro-step on a rank, " << batch.accumulation << " micro-steps\n"
      << "exchange       " << enum_names(plan.exchange)[static_cast<size_t>(plan.exchange)] << "\n"
      << "run            " << config.schedule.steps << " steps, " << plan.tokens << " tokens\n"
      << "parameters     " << plan.parameters << "\n"
      << "state          " << size_text(plan.state_bytes) << " a sequence\n"
      << line("memory a rank",
              message(size_text(memory.peak), is_cpu ? "" : " of the device", " at the highest, ",
                      size_text(memory.reserved), " with what is kept to be used again; ",
                      size_text(plan.other_peak), batch.recompute ? " without" : " with",
                      " data.recompute"))
      << line("  parameters", message(size_text(memory.parameters), ", as much for gradients"))
      << line("  optimizer", size_text(memory.optimizer) +
                                 (config.parallel.zero == 1 ? ", this rank's share" : ""))
      << line("  states", size_text(memory.states))
      << line("  activations", size_text(memory.activations) + " kept from forward to backward")
      << line("  at work",
              message(size_text(memory.peak - named), ", among it logits ", size_text(memory.loss),
                      ", an exchange of states ", size_text(memory.exchange),
                      is_cpu ? "" : ", cuBLASLt " + size_text(memory.libraries)))
      << line("  beside it", beside_pool(plan)) << line("checkpoint", size_text(plan.checkpoint))
      << "sent a step    gradients " << size_text(plan.gradient_traffic) << ", parameters "
      << size_text(plan.parameter_traffic) << ", states " << size_text(plan.exchange_traffic)
      << " by each rank (states to each other rank of its group with all_gather)\n";
  return out.str();
}

}  // namespace longhaul::launch
