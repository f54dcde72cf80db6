#include "bench/scaling/prediction.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "kernels/core/error.h"
#include "model/architecture.h"
#include "model/retention.h"
#include "trainer/memory_plan.h"
#include "trainer/optimizer.h"

namespace longhaul::bench {

namespace {

using core::message;
using model::ModelConfig;

constexpr double kFp32 = 4, kFp64 = 8;

double as_double(int64_t value) { return static_cast<double>(value); }

/// Where ranks outnumber the processors they share, each computes so much longer.
Device device_of(const StepQuestion& q) {
  Device device = q.device;
  if (device.processors > 0) {
    device.measured_over_model *=
        std::max(1.0, as_double(q.ranks()) / as_double(device.processors));
  }
  return device;
}

bool keeps_final_states(const StepQuestion& q) {
  return q.source == trainer::SourceKind::kStatePassing || q.source == trainer::SourceKind::kTbtt;
}

GradientBuffer buffer_of(const ModelConfig& config) {
  GradientBuffer buffer{.layers = config.layers};
  for (const auto& parameter : model::parameters_of(config)) {
    const int64_t elements = parameter.shape.elements();
    if (parameter.name.starts_with("backbone.embeddings.")) {
      buffer.embedding += elements;
    } else if (parameter.name.starts_with("backbone.layers.")) {
      buffer.layer += elements;
    } else {
      buffer.head += elements;
    }
  }
  buffer.layer /= std::max<int64_t>(1, config.layers);
  return buffer;
}

GradientCase gradients_of(const StepQuestion& q, int64_t bucket_bytes) {
  return {.network = q.network,
          .world = {.ranks = q.ranks()},
          .buffer = buffer_of(q.model),
          .bucket_bytes = bucket_bytes,
          .shards = q.shard_optimizer};
}

/// Bytes that a rank sends in the all-to-alls of a layer and direction: its own columns but for its
/// heads'. B and C go to every rank where there are fewer groups than ranks.
double scatter_bytes(const StepQuestion& q, double e) {
  const double W = q.mesh.sequence, kept = (W - 1) / W;
  const double tokens = as_double(q.rows() * q.segment());
  const double GN = std::max(as_double(q.model.groups), W) * as_double(q.model.state_dim);
  return kept * tokens * e * (2 * as_double(q.model.inner()) + 2 * GN + as_double(q.model.heads));
}
double gather_bytes(const StepQuestion& q, double e) {
  const double W = q.mesh.sequence;
  return (W - 1) / W * as_double(q.rows() * q.segment() * q.model.inner()) * e;
}

/// Layers whose activations lie in memory at once.
int64_t kept_layers(const StepQuestion& q) {
  return model::retention_of(q.model, q.device.kind(), q.device.element(), q.batch.recompute)
      .together;
}

double element_bytes(const Device& device) { return as_double(core::size_of(device.element())); }

PassCase pass_of(const StepQuestion& q, const Device& device) {
  RankTokens tokens{.tokens = as_double(q.rows() * q.segment()),
                    .length = q.segment(),
                    .exchanges = q.mesh.sequence > 1};
  if (q.sharing == Sharing::kHeads) {  // whole sequences of fewer heads, at least a group a rank
    tokens.length = q.batch.length;
    tokens.groups = std::max<int64_t>(q.model.groups, q.mesh.sequence);
  }
  const double state = as_double(q.rows() * q.model.inner() * q.model.state_dim) * kFp32;
  const OpWork apply{"apply", OpKind::kMemory, 0, 3 * state};
  const Group group{.ranks = q.mesh.sequence};
  const double e = element_bytes(device);
  return {.network = q.network,
          .group = group,
          .sharing = q.sharing,
          .algorithm = q.algorithm,
          .full_gradient = q.full_gradient,
          .layers = q.model.layers,
          .run_again = q.model.layers - kept_layers(q),
          .forward = seconds_of(device, forward_work(q.model, device.dtype, tokens)),
          .backward = seconds_of(device, backward_work(q.model, device.dtype, tokens)),
          .head_s = seconds_of(device, head_work(q.model, device.dtype, tokens)),
          .exchange = {.state_bytes = state,
                       .log_decay_bytes = as_double(q.rows() * q.model.log_decays()) * kFp32,
                       .apply_s = seconds_of(device, apply)},
          .halo_bytes =
              as_double(q.rows() * (q.model.conv_width - 1) * q.model.conv_channels()) * kFp32,
          .scatter = all_to_all_cost(q.network, group, scatter_bytes(q, e)),
          .gather = all_to_all_cost(q.network, group, gather_bytes(q, e))};
}

/// Of numbers over all ranks in a step.
double sums_seconds(const StepQuestion& q, const GradientBuffer& buffer) {
  const Group world{.ranks = q.ranks()};
  const double number = host_all_reduce_cost(q.network, world, kFp64).seconds();
  double seconds = 2 * number;  // labels; loss
  if (q.shard_optimizer && q.ranks() > 1) {
    const double blocks =
        std::ceil(as_double(buffer.elements()) / as_double(trainer::norm_block(buffer.elements())));
    seconds += host_all_reduce_cost(q.network, world, kFp64 * blocks).seconds();
  }
  if (keeps_final_states(q))
    seconds += as_double(q.batch.accumulation) * number;  // are they finite
  return seconds;
}

/// What a source that keeps final states sends in a micro-step.
struct SourceCost {
  double seconds = 0, bytes = 0;
};

/// From the last rank of a sequence group to the others, all layers at once, after a barrier.
SourceCost handing_out(const StepQuestion& q) {
  if (!keeps_final_states(q) || q.mesh.sequence == 1) return {};
  const Group group{.ranks = q.mesh.sequence};
  const double rows = as_double(q.rows()) * kFp32, layers = as_double(q.model.layers);
  const CollectiveCost ssm =
      broadcast_cost(q.network, group, rows * as_double(q.model.inner() * q.model.state_dim));
  const CollectiveCost conv = broadcast_cost(
      q.network, group, rows * as_double((q.model.conv_width - 1) * q.model.conv_channels()));
  const double barrier = host_all_reduce_cost(q.network, group, kFp64).seconds();
  return {.seconds = barrier + layers * (ssm.busy + conv.busy) + ssm.latency,
          .bytes = layers * (ssm.bytes + conv.bytes)};
}

/// Rows that the rank with most of them gets from others in a permutation over all data ranks: the
/// mean of the largest of as many binomial numbers.
double most_rows_from_others(const StepQuestion& q) {
  const double rows = as_double(q.rows()), D = q.mesh.data;
  const double share = (1 - trainer::InitialStateConfig{}.zero_probability) * (D - 1) / D;
  double most = 0, at_most_k = 0;
  for (double k = 0; k < rows; ++k) {
    at_most_k += std::exp(std::lgamma(rows + 1) - std::lgamma(k + 1) - std::lgamma(rows - k + 1) +
                          k * std::log(share) + (rows - k) * std::log(1 - share));
    most += 1 - std::pow(std::min(1.0, at_most_k), D);
  }
  return most;
}

/// State passing gives states to other sequences, those of other data ranks too: a message a row
/// and layer, before forward.
SourceCost shuffling(const StepQuestion& q) {
  if (q.source != trainer::SourceKind::kStatePassing || q.mesh.data == 1) return {};
  const int64_t farthest = q.ranks() - q.mesh.sequence;
  const double state = as_double(q.model.inner() * q.model.state_dim) * kFp32;
  const double messages = most_rows_from_others(q) * as_double(q.model.layers);
  const double trips = q.network.shakes_hands(state) ? 3 : 1;
  return {.seconds = messages * (state / q.network.rate(0, farthest) + q.network.message_s) +
                     trips * q.network.link(0, farthest).latency_s,
          .bytes = messages * state};
}

Prediction step_of(const StepQuestion& q, const Device& device, const PassTimes& times,
                   int64_t bucket_bytes) {
  const GradientCase gradients = gradients_of(q, bucket_bytes);
  const double parameters = as_double(gradients.buffer.elements());
  const double owned = q.shard_optimizer ? parameters / as_double(q.ranks()) : parameters;
  Works optimizer = optimizer_work(device.dtype, parameters, owned);
  if (q.shard_optimizer) {
    for (OpWork& op : optimizer) op.launches *= static_cast<int>(buckets_of(gradients));
  }
  const double update = seconds_of(device, optimizer);
  const double micro_steps = as_double(q.batch.accumulation);

  Prediction step{.bucket_bytes = bucket_bytes};
  step.computing = micro_steps * times.computing + update;
  step.exchange = micro_steps * (times.end - times.computing);
  step.reduction = time_of_reduction(gradients, times) - times.end;
  step.gathering = time_of_update(gradients, update) - update;
  const SourceCost given = handing_out(q), shuffled = shuffling(q);
  step.control =
      sums_seconds(q, gradients.buffer) + micro_steps * (given.seconds + shuffled.seconds);
  step.seconds = step.computing + step.exchange + step.reduction + step.gathering + step.control;
  step.gradient_bytes = reduction_bytes(gradients);
  step.parameter_bytes = gathering_bytes(gradients);
  step.source_bytes = micro_steps * (given.bytes + shuffled.bytes);
  return step;
}

double exchange_bytes_of(const StepQuestion& q, const PassCase& pass) {
  const double layers = as_double(q.batch.accumulation * q.model.layers);
  if (q.mesh.sequence == 1) return 0;
  if (q.sharing == Sharing::kHeads) {
    const double passes = as_double(2 * pass.layers + pass.run_again);
    return as_double(q.batch.accumulation) * passes * (pass.scatter.bytes + pass.gather.bytes);
  }
  const double state = exchange_bytes(
      {.network = q.network, .group = pass.group, .algorithm = q.algorithm, .size = pass.exchange});
  return layers * (q.full_gradient ? 2 : 1) * (state + pass.halo_bytes);
}

/// Ranks whose exchange buffers can be the largest: ends, and behind the last doubling.
std::set<int> ranks_that_need_most(int ranks) {
  std::set<int> some{0, 1, ranks / 2, ranks - 2, ranks - 1};
  std::erase_if(some, [&](int rank) { return rank < 0 || rank >= ranks; });
  return some;
}

/// Beyond the states' plan: every rank has B and C of all tokens, and the buffers of an all-to-all.
double head_memory(const StepQuestion& q) {
  const double e = element_bytes(q.device), W = q.mesh.sequence;
  const double whole = as_double(q.rows() * q.batch.length);
  const double replicas =
      2 * as_double(q.model.state_dim) * e * whole *
      (std::max(1.0, as_double(q.model.groups) / W) - as_double(q.model.groups) / W);
  constexpr double kTensors = 2;  // before and after the convolution
  return kTensors * replicas * as_double(kept_layers(q)) +
         2 * W / std::max(1.0, W - 1) * scatter_bytes(q, e);
}

}  // namespace

std::string misfit(const StepQuestion& q) {
  if (q.mesh.data < 1 || q.mesh.sequence < 1) return "the mesh has no ranks";
  if (q.batch.sequences % (q.mesh.data * q.batch.accumulation) != 0) {
    return message(q.batch.sequences, " sequences are no multiple of ", q.mesh.data,
                   " data ranks times ", q.batch.accumulation, " micro-steps");
  }
  if (q.batch.length / q.mesh.sequence < q.model.conv_width) {
    return message(q.batch.length, " tokens leave a rank of ", q.mesh.sequence,
                   " fewer than the convolution's ", q.model.conv_width);
  }
  if (q.sharing == Sharing::kHeads && q.model.is_mamba1()) {
    return "B, C and dt of a mamba1 model are sums over all channels: ranks cannot share heads";
  }
  if (q.sharing == Sharing::kHeads && q.model.heads % q.mesh.sequence != 0) {
    return message(q.model.heads, " heads cannot be shared by ", q.mesh.sequence, " ranks");
  }
  return "";
}

double memory_of(const StepQuestion& q) {
  trainer::TrainerConfig settings;
  settings.initial_state.source = q.source;
  settings.batch = q.batch;
  settings.exchange = q.algorithm;
  settings.full_gradient = q.full_gradient;
  if (q.bucket_bytes > 0) settings.bucket_bytes = q.bucket_bytes;
  settings.shard_optimizer = q.shard_optimizer;
  double most = 0;
  for (const int rank : ranks_that_need_most(q.mesh.sequence)) {
    const trainer::MemoryPlan plan = trainer::plan_memory_of_rank({.model = q.model,
                                                                   .device = q.device.kind(),
                                                                   .dtype = q.device.element(),
                                                                   .trainer = settings,
                                                                   .mesh = q.mesh},
                                                                  rank);
    most = std::max(most, as_double(plan.peak));
  }
  return q.sharing == Sharing::kHeads && q.mesh.sequence > 1 ? most + head_memory(q) : most;
}

double pass_waiting(const StepQuestion& q) {
  const PassTimes times = time_of_pass(pass_of(q, device_of(q)));
  return times.end - times.computing;
}

Prediction predict(const StepQuestion& q) {
  const std::string wrong = misfit(q);
  if (!wrong.empty()) throw core::InputError(wrong);
  const Device device = device_of(q);
  const PassCase pass = pass_of(q, device);
  const PassTimes times = time_of_pass(pass);
  Prediction best{.seconds = std::numeric_limits<double>::infinity()};
  for (const int64_t bucket : kBuckets) {
    const int64_t bytes = q.bucket_bytes > 0 ? q.bucket_bytes : bucket;
    const Prediction step = step_of(q, device, times, bytes);
    if (step.seconds < best.seconds) best = step;
  }
  best.memory_bytes = memory_of(q);
  best.exchange_bytes = exchange_bytes_of(q, pass);
  return best;
}

}  // namespace longhaul::bench
