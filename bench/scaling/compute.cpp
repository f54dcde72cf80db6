#include "bench/scaling/compute.h"

#include <algorithm>

#include "kernels/selective_scan/selective_scan.h"

namespace longhaul::bench {

namespace {

using model::ModelConfig;

double as_double(int64_t value) { return static_cast<double>(value); }

/// Sizes of one layer, and one op of each family.
class Ops {
 public:
  Ops(const ModelConfig& config, ElementType dtype, const RankTokens& tokens)
      : t_(tokens.tokens),
        e_(dtype == ElementType::kBF16 ? 2 : 4),
        r_(config.residual_in_fp32 ? 4 : e_),
        D_(as_double(config.width)),
        E_(as_double(config.inner())),
        H_(as_double(config.heads)),
        N_(as_double(config.state_dim)),
        G_(as_double(tokens.groups > 0 ? tokens.groups : config.groups)),
        C_(config.is_mamba1() ? E_ : E_ + 2 * G_ * N_),
        projected_(as_double(config.in_projection())),
        K_(as_double(config.conv_width)),
        F_(as_double(config.mlp_width)),
        Q_(as_double(std::min(config.chunk, tokens.length))),
        inputs_(as_double(config.time_step_rank() + 2 * config.state_dim)) {}

  OpWork rms_norm() const { return memory("rms_norm forward", (r_ + e_) * D_ + 4); }
  OpWork rms_norm_backward() const { return memory("rms_norm backward", (r_ + 3 * e_) * D_ + 4); }
  OpWork embedding() const { return memory("embedding forward", (e_ + r_) * D_); }
  OpWork embedding_backward() const { return memory("embedding backward", e_ * 2 * D_); }
  OpWork conv() const { return memory("causal_conv1d forward", e_ * 2 * C_, 2 * K_ * C_); }
  OpWork conv_backward() const {
    return memory("causal_conv1d backward", e_ * 3 * C_, 4 * K_ * C_);
  }
  OpWork time_step() const { return memory("time_step forward", (e_ + 4) * H_); }
  OpWork time_step_backward() const { return memory("time_step backward", (2 * e_ + 4) * H_); }
  OpWork gated_norm() const { return memory("gated_rms_norm forward", e_ * 3 * E_ + 4 * G_); }
  OpWork gated_norm_backward() const {
    return memory("gated_rms_norm backward", e_ * 5 * E_ + 4 * G_);
  }
  OpWork swiglu(double width) const { return memory("swiglu forward", e_ * 3 * width); }
  OpWork swiglu_backward(double width) const { return memory("swiglu backward", e_ * 5 * width); }

  OpWork linear(double in, double out) const {
    return {"linear forward", OpKind::kLinear, t_ * 2 * in * out,
            t_ * e_ * (in + out) + e_ * in * out};
  }
  /// Added to the residual stream, which is D wide.
  OpWork linear_onto_residual(double in) const {
    OpWork work = linear(in, D_);
    work.bytes += t_ * (2 * r_ - e_) * D_;
    return work;
  }
  OpWork linear_backward(double in, double out) const {
    return {"linear backward", OpKind::kLinear, t_ * 4 * in * out,
            t_ * e_ * (2 * in + out) + (e_ + 8) * in * out, 2};
  }

  // Kernels of the SSD: states from zero and their passing; Gram and intra-chunk product; output of
  // the entering states. Bytes of "ssd forward": x, dt, B, C, y and the chunks' states once.
  OpWork ssd_map() const {
    return scan("ssd forward", 2 * E_ * N_, e_ * (E_ + G_ * N_) + 4 * H_ + states(), 2);
  }
  OpWork ssd_intra() const {
    return scan("ssd forward", Q_ * E_ + Q_ * N_ * G_, e_ * (E_ + G_ * N_), 2);
  }
  OpWork ssd_inter() const { return scan("ssd forward", 2 * E_ * N_, 0, 1); }
  OpWork ssd_map_backward() const {
    return scan("ssd backward", 2 * E_ * N_, e_ * (E_ + G_ * N_) + 4 * H_, 2);
  }
  OpWork ssd_intra_backward() const {
    return scan("ssd backward", 2 * Q_ * E_ + 2 * Q_ * N_ * G_, e_ * (E_ + G_ * N_), 3);
  }
  OpWork ssd_inter_backward() const {
    return scan("ssd backward", 6 * E_ * N_, e_ * (E_ + 2 * G_ * N_) + 4 * H_ + states(), 3);
  }

  // Mamba-1's scan: x, dt, B, C and y once; backward twice the sums, and the states again.
  OpWork selective_scan() const {
    return scan("selective_scan forward", 7 * E_ * N_, e_ * (3 * E_ + 2 * N_) + kept_states(), 3);
  }
  OpWork selective_scan_map() const {
    return scan("selective_scan map", 5 * E_ * N_, e_ * (2 * E_ + N_), 2);
  }
  OpWork selective_scan_backward() const {
    return scan("selective_scan backward", 19 * E_ * N_, e_ * (5 * E_ + 4 * N_) + kept_states(), 4);
  }

  double D() const { return D_; }
  double E() const { return E_; }
  double F() const { return F_; }
  double projected() const { return projected_; }
  /// Of Mamba-1: columns of x_proj's output, and of them dt's.
  double inputs() const { return inputs_; }
  double rank() const { return inputs_ - 2 * N_; }

 private:
  /// Per token: the selective scan's kept states in fp32.
  double kept_states() const { return 4 * E_ * N_ / as_double(kernels::kScanChunk); }
  /// Per token: chunk states in fp32.
  double states() const { return 4 * E_ * N_ / Q_; }
  OpWork memory(const char* name, double bytes, double flops = 0) const {
    return {name, OpKind::kMemory, t_ * flops, t_ * bytes};
  }
  OpWork scan(const char* name, double flops, double bytes, int launches) const {
    return {name, OpKind::kScan, t_ * flops, t_ * bytes, launches};
  }

  double t_, e_, r_, D_, E_, H_, N_, G_, C_, projected_, K_, F_, Q_, inputs_;
};

LayerWork mamba1_forward(const Ops& ops, bool exchanges) {
  LayerWork work{
      .to_halo = {ops.rms_norm(), ops.linear(ops.D(), ops.E())},
      .to_exchange = {ops.conv(), ops.linear(ops.E(), ops.inputs()),
                      ops.linear(ops.rank(), ops.E())},
      .meanwhile = {ops.linear(ops.D(), ops.E())},
      .rest = {ops.selective_scan(), ops.swiglu(ops.E()), ops.linear_onto_residual(ops.E())}};
  if (exchanges) work.to_exchange.push_back(ops.selective_scan_map());
  return work;
}

LayerWork mamba1_backward(const Ops& ops, bool exchanges) {
  LayerWork work{
      .to_halo = {ops.selective_scan_backward(), ops.linear_backward(ops.rank(), ops.E()),
                  ops.linear_backward(ops.E(), ops.inputs()), ops.conv_backward()},
      .to_exchange = {ops.linear_backward(ops.E(), ops.D()), ops.swiglu_backward(ops.E())},
      .meanwhile = {ops.linear_backward(ops.D(), ops.E())},
      .rest = {ops.linear_backward(ops.D(), ops.E()), ops.rms_norm_backward()}};
  if (exchanges) work.to_exchange.push_back(ops.selective_scan_map());
  return work;
}

}  // namespace

LayerWork forward_work(const ModelConfig& config, ElementType dtype, const RankTokens& tokens) {
  const Ops ops(config, dtype, tokens);
  if (config.is_mamba1()) return mamba1_forward(ops, tokens.exchanges);
  LayerWork work{.to_halo = {ops.rms_norm(), ops.linear(ops.D(), ops.projected())},
                 .to_exchange = {ops.conv(), ops.time_step(), ops.ssd_map()},
                 .meanwhile = {ops.ssd_intra()},
                 .rest = {ops.ssd_inter(), ops.gated_norm(), ops.linear_onto_residual(ops.E())}};
  if (config.mlp_width > 0) {
    for (const OpWork& op : {ops.rms_norm(), ops.linear(ops.D(), 2 * ops.F()), ops.swiglu(ops.F()),
                             ops.linear_onto_residual(ops.F())}) {
      work.rest.push_back(op);
    }
  }
  return work;
}

LayerWork backward_work(const ModelConfig& config, ElementType dtype, const RankTokens& tokens) {
  const Ops ops(config, dtype, tokens);
  if (config.is_mamba1()) return mamba1_backward(ops, tokens.exchanges);
  LayerWork work{
      .to_halo = {ops.ssd_inter_backward(), ops.time_step_backward(), ops.conv_backward()},
      .to_exchange = {ops.linear_backward(ops.E(), ops.D()), ops.gated_norm_backward(),
                      ops.ssd_map_backward()},
      .meanwhile = {ops.ssd_intra_backward()},
      .rest = {ops.linear_backward(ops.D(), ops.projected()), ops.rms_norm_backward()}};
  if (config.mlp_width > 0) {
    for (const OpWork& op : {ops.linear_backward(ops.F(), ops.D()), ops.swiglu_backward(ops.F()),
                             ops.linear_backward(ops.D(), 2 * ops.F()), ops.rms_norm_backward()}) {
      work.to_exchange.push_back(op);
    }
  }
  return work;
}

Works head_work(const ModelConfig& config, ElementType dtype, const RankTokens& tokens) {
  const Ops ops(config, dtype, tokens);
  const double D = as_double(config.width), V = as_double(config.vocabulary);
  const double e = dtype == ElementType::kBF16 ? 2 : 4;
  return {ops.embedding(),
          ops.rms_norm(),
          {"linear_cross_entropy", OpKind::kLinear, tokens.tokens * 6 * D * V,
           tokens.tokens * e * 2 * D + (e + 4) * D * V, 4},
          ops.rms_norm_backward(),
          ops.embedding_backward()};
}

Works optimizer_work(ElementType dtype, double parameters, double owned) {
  const double rounded = dtype == ElementType::kBF16 ? 2 : 0;
  // Norm and clearing read and write each gradient once; AdamW as bench_ops counts it.
  return {{"norm and clearing", OpKind::kMemory, 0, 4 * owned + 4 * parameters, 2},
          {"adamw", OpKind::kMemory, 0, (28 + rounded) * owned},
          {"rounding", OpKind::kMemory, 0, rounded > 0 && owned < parameters ? 6 * parameters : 0}};
}

double flops_of(const Works& works) {
  double sum = 0;
  for (const OpWork& work : works) sum += work.flops;
  return sum;
}

double seconds_of(const Device& device, const OpWork& work) {
  const double share = work.kind == OpKind::kScan ? device.scan_share : device.linear_share;
  double flops = device.flops_per_second * share;
  double bytes = device.bytes_per_second * device.bytes_share;
  const auto measured = device.measured.find(work.name);
  if (measured != device.measured.end()) {
    // One time was measured: it counts for products where there are any, for bytes elsewhere.
    if (measured->second.flops_per_second > 0) {
      flops = measured->second.flops_per_second;
    } else if (measured->second.bytes_per_second > 0) {
      bytes = measured->second.bytes_per_second;
    }
  }
  const double least = work.bytes > 0 || work.flops > 0 ? device.launch_s * work.launches : 0;
  const double products = work.kind == OpKind::kMemory ? 0 : work.flops / flops;
  return std::max({products, work.bytes / bytes, least}) * device.measured_over_model;
}

double seconds_of(const Device& device, const Works& works) {
  double sum = 0;
  for (const OpWork& work : works) sum += seconds_of(device, work);
  return sum;
}

LayerSeconds seconds_of(const Device& device, const LayerWork& work) {
  return {.to_halo = seconds_of(device, work.to_halo),
          .to_exchange = seconds_of(device, work.to_exchange),
          .meanwhile = seconds_of(device, work.meanwhile),
          .rest = seconds_of(device, work.rest)};
}

}  // namespace longhaul::bench
