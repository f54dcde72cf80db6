// Every op of a Mamba-2 training step by itself, at the shapes of a model, and the selective scan
// of a Mamba-1: time, and the share of what the machine can do (bytes the op cannot do without over
// its copying rate, or useful floating-point operations over its matrix rate), both measured in the
// same run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/cudnn/cudnn_ops.h"
#include "bench/support/device_bench.h"
#include "bench/support/machine.h"
#include "bench/support/scan_arguments.h"
#include "bench/support/shapes.h"
#include "dist/mpi_communicator.h"
#include "kernels/conv1d/causal_conv1d.h"
#include "kernels/linear/linear.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "kernels/norm/gated_rms_norm.h"
#include "kernels/norm/rms_norm.h"
#include "kernels/optimizer/adamw.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/ssd/ssd.h"
#include "launch/command_options.h"
#include "launch/rank_session.h"

namespace {

using namespace longhaul;
using core::DType;
using core::TensorView;

/// One op: what it must read and write at least, and its useful floating-point operations.
struct Op {
  std::string name;
  double bytes = 0, flops = 0;
  std::function<void()> run;
};

/// All ops over one set of tensors. Sizes as in model/config.h.
class Ops {
 public:
  Ops(core::Context& context, DType dtype, const model::ModelConfig& config, int64_t batch,
      int64_t length)
      : context_(context), dtype_(dtype), c_(config), batch_(batch), length_(length) {
    add_linear();
    add_norms();
    add_conv();
    if (!c_.is_mamba1()) add_gated_norm();
    if (!c_.is_mamba1()) add_ssd();
    add_scan();
    add_loss();
    add_adamw();
    const std::string missing = bench::cudnn_unavailable_reason(context);
    if (missing.empty()) {
      add_cudnn();
    } else if (!context.device().is_cpu()) {
      skip("cudnn", missing);
    }
  }
  const std::vector<Op>& list() const { return ops_; }

 private:
  TensorView normal(DType dtype, const core::Shape& shape, double deviation = 1, double mean = 0) {
    tensors_.push_back(
        bench::normal_tensor(context_, dtype, shape, {.mean = mean, .deviation = deviation}));
    return tensors_.back();
  }
  TensorView model(const core::Shape& shape, double deviation = 1) {
    return normal(dtype_, shape, deviation);
  }
  TensorView state(const core::Shape& shape, double deviation = 1, double mean = 0) {
    return normal(DType::kF32, shape, deviation, mean);
  }
  TensorView residual() { return normal(c_.residual_dtype(dtype_), {rows(), c_.width}); }
  void add(std::string name, double bytes, double flops, std::function<void()> run) {
    ops_.push_back({std::move(name), bytes, flops, std::move(run)});
  }
  static double bytes_of(std::initializer_list<TensorView> views) {
    double bytes = 0;
    for (const TensorView& view : views) bytes += static_cast<double>(view.bytes());
    return bytes;
  }
  int64_t rows() const { return batch_ * length_; }

  void add_linear() {
    const int64_t out = c_.in_projection();
    const TensorView x = model({rows(), c_.width}), weight = model({out, c_.width}, 0.02);
    const TensorView y = model({rows(), out}), dx = model({rows(), c_.width});
    const TensorView dweight = state({out, c_.width});
    const double flops =
        2 * static_cast<double>(rows()) * static_cast<double>(out) * static_cast<double>(c_.width);
    add("linear forward", bytes_of({x, weight, y}), flops, [=, this] {
      kernels::linear_forward(context_, {.x = x, .weight = weight, .bias = {}, .y = y});
    });
    const TensorView inner = model({rows(), c_.inner()}),
                     out_weight = model({c_.width, c_.inner()}, 0.02);
    const TensorView before = residual(), after = residual();
    add("linear onto residual", bytes_of({inner, out_weight, before, after}),
        2 * static_cast<double>(rows()) * static_cast<double>(c_.inner() * c_.width), [=, this] {
          kernels::linear_forward(
              context_,
              {.x = inner, .weight = out_weight, .bias = {}, .addend = before, .y = after});
        });
    add("linear backward", bytes_of({x, weight, y, dx}) + 2 * bytes_of({dweight}), 2 * flops,
        [=, this] {
          kernels::linear_backward(
              context_,
              {.x = x, .weight = weight, .dy = y, .dx = dx, .dweight = dweight, .dbias = {}});
        });
  }
  void add_norms() {
    const TensorView x = model({rows(), c_.width}), stream = residual();
    const TensorView weight = model({c_.width}), y = model({rows(), c_.width});
    const TensorView rstd = state({rows()}), dweight = state({c_.width});
    add("rms_norm forward", bytes_of({x, y, rstd}) + 2 * bytes_of({stream}), 0, [=, this] {
      kernels::rms_norm_forward(
          context_, {.x = x, .residual = stream, .weight = weight, .y = y, .rstd = rstd});
    });
    const TensorView dresidual = model({rows(), c_.width});
    add("rms_norm backward", bytes_of({y, stream, rstd}) + 2 * bytes_of({dresidual}), 0, [=, this] {
      kernels::rms_norm_backward(context_, {.residual = stream,
                                            .weight = weight,
                                            .rstd = rstd,
                                            .dy = y,
                                            .dresidual = dresidual,
                                            .dweight = dweight});
    });
  }
  void add_gated_norm() {
    const TensorView inner = model({rows(), c_.inner()}), z = model({rows(), c_.inner()});
    const TensorView out = model({rows(), c_.inner()}), wide = model({c_.inner()});
    const TensorView group_rstd = state({rows(), c_.groups}), dwide = state({c_.inner()});
    const TensorView dinner = model({rows(), c_.inner()}), dz = model({rows(), c_.inner()});
    add("gated_rms_norm forward", bytes_of({inner, z, out, group_rstd}), 0, [=, this] {
      kernels::gated_rms_norm_forward(
          context_, {.y = inner, .z = z, .weight = wide, .out = out, .rstd = group_rstd});
    });
    add("gated_rms_norm backward", bytes_of({inner, z, out, dinner, dz, group_rstd}), 0, [=, this] {
      kernels::gated_rms_norm_backward(context_, {.y = inner,
                                                  .z = z,
                                                  .weight = wide,
                                                  .rstd = group_rstd,
                                                  .dout = out,
                                                  .dy = dinner,
                                                  .dz = dz,
                                                  .dweight = dwide});
    });
  }

  void add_conv() {
    const core::Shape wide{batch_, length_, c_.conv_channels()},
        edge{batch_, c_.conv_width - 1, c_.conv_channels()};
    const TensorView x = model(wide), y = model(wide), dx = model(wide);
    const TensorView weight = model({c_.conv_channels(), c_.conv_width}, 0.3);
    const TensorView bias = model({c_.conv_channels()}), dbias = state({c_.conv_channels()});
    const TensorView dweight = state({c_.conv_channels(), c_.conv_width});
    const TensorView initial = state(edge), final = state(edge);
    add("causal_conv1d forward", bytes_of({x, y}), 0, [=, this] {
      kernels::causal_conv1d_forward(context_, {.x = x,
                                                .weight = weight,
                                                .bias = bias,
                                                .initial_state = initial,
                                                .y = y,
                                                .final_state = final});
    });
    add("causal_conv1d backward", bytes_of({x, y, dx}), 0, [=, this] {
      kernels::causal_conv1d_backward(context_, {.x = x,
                                                 .weight = weight,
                                                 .bias = bias,
                                                 .initial_state = initial,
                                                 .dy = y,
                                                 .dfinal_state = final,
                                                 .dx = dx,
                                                 .dweight = dweight,
                                                 .dbias = dbias,
                                                 .dinitial_state = initial});
    });
  }

  void add_ssd() {
    const core::Shape per_head{batch_, length_, c_.heads, c_.head_dim},
        per_group{batch_, length_, c_.groups, c_.state_dim},
        states{batch_, c_.heads, c_.head_dim, c_.state_dim};
    kernels::SsdForward forward;
    forward.x = model(per_head);
    forward.dt = state({batch_, length_, c_.heads}, 0.01, 0.05);
    forward.A_log = state({c_.heads});
    forward.B = model(per_group);
    forward.C = model(per_group);
    forward.D = state({c_.heads});
    forward.initial_state = state(states);
    forward.chunk = c_.chunk;
    forward.y = model(per_head);
    forward.final_state = state(states);
    forward.chunk_states = model(
        {batch_, kernels::ssd_chunks(length_, c_.chunk), c_.heads, c_.head_dim, c_.state_dim});
    const kernels::SsdBackward backward{.x = forward.x,
                                        .dt = forward.dt,
                                        .A_log = forward.A_log,
                                        .B = forward.B,
                                        .C = forward.C,
                                        .D = forward.D,
                                        .chunk_states = forward.chunk_states,
                                        .chunk = c_.chunk,
                                        .dy = model(per_head),
                                        .dfinal_state = state(states),
                                        .dx = model(per_head),
                                        .ddt = state({batch_, length_, c_.heads}),
                                        .dB = model(per_group),
                                        .dC = model(per_group),
                                        .dA_log = state({c_.heads}),
                                        .dD = state({c_.heads}),
                                        .dinitial_state = state(states),
                                        .dchunk_states = {}};
    const bench::SsdWork work = bench::ssd_work(c_, batch_, length_);
    add("ssd forward",
        bytes_of({forward.x, forward.dt, forward.B, forward.C, forward.y, forward.chunk_states}),
        work.forward, [=, this] { kernels::ssd_forward(context_, forward); });
    add("ssd backward",
        bytes_of({forward.x, forward.dt, forward.B, forward.C, forward.chunk_states, backward.dy,
                  backward.dx, backward.ddt, backward.dB, backward.dC}),
        work.backward, [=, this] { kernels::ssd_backward(context_, backward); });
  }

  /// At a Mamba-2's shape of a Mamba-1 as wide: at that of 1.3b, mamba-1.4b's.
  void add_scan() {
    const bench::ScanArguments scan = bench::scan_arguments(
        {.model = [this](const core::Shape& shape) { return model(shape); },
         .state = [this](const core::Shape& shape, double deviation,
                         double mean) { return state(shape, deviation, mean); }},
        batch_, length_, c_.inner(), c_.is_mamba1() ? c_.state_dim : 16);
    add("selective_scan forward", scan.forward_bytes, 0,
        [=, this] { kernels::selective_scan_forward(context_, scan.forward); });
    add("selective_scan backward", scan.backward_bytes, 0,
        [=, this] { kernels::selective_scan_backward(context_, scan.backward); });
  }

  void add_loss() {
    const TensorView hidden = model({rows(), c_.width}), dhidden = model({rows(), c_.width});
    const TensorView weight = model({c_.vocabulary, c_.width}, 0.02);
    const TensorView dweight = state({c_.vocabulary, c_.width});
    tensors_.push_back(core::Tensor::from(
        context_, std::vector<int32_t>(static_cast<size_t>(rows()), 1), {rows()}));
    const TensorView labels = tensors_.back();
    const double flops = 6 * static_cast<double>(rows()) * static_cast<double>(c_.vocabulary) *
                         static_cast<double>(c_.width);
    add("linear_cross_entropy", bytes_of({hidden, weight, dhidden, dweight}), flops, [=, this] {
      kernels::linear_cross_entropy(context_, {.hidden = hidden,
                                               .weight = weight,
                                               .labels = labels,
                                               .scale = 1.0 / static_cast<double>(rows()),
                                               .loss = {},
                                               .predicted = {},
                                               .dhidden = dhidden,
                                               .dweight = dweight});
    });
  }

  void add_adamw() {
    constexpr int64_t kElements = int64_t{1} << 25;
    const TensorView weight = state({kElements}), gradient = state({kElements});
    const TensorView first = state({kElements}), second = state({kElements}, 0, 1);
    const TensorView rounded = dtype_ == DType::kBF16 ? model({kElements}) : TensorView();
    add("adamw", 2 * bytes_of({weight, first, second}) + bytes_of({gradient, rounded}), 0,
        [=, this] {
          kernels::adamw_step(context_, {.weight = weight,
                                         .gradient = gradient,
                                         .first_moment = first,
                                         .second_moment = second,
                                         .rounded = rounded,
                                         .rate = 1e-6});
        });
  }

  /// What cuDNN takes for the convolution alone (no bias, no SiLU) and for RMSNorm.
  void add_cudnn() {
    const int64_t channels = c_.conv_channels();
    const TensorView x = model({batch_, length_ + c_.conv_width - 1, channels}),
                     y = model({batch_, length_, channels});
    const TensorView dx = model(x.shape()), weight = model({channels, c_.conv_width}, 0.3),
                     dweight = model({channels, c_.conv_width});
    add_peer("cudnn depthwise forward", bytes_of({x, y}),
             [&] { return bench::cudnn_depthwise(context_, x, weight, y); });
    add_peer("cudnn depthwise backward, dx", bytes_of({y, dx}),
             [&] { return bench::cudnn_depthwise_dx(context_, y, weight, dx); });
    add_peer("cudnn depthwise backward, dweight", bytes_of({x, y}),
             [&] { return bench::cudnn_depthwise_dweight(context_, x, y, dweight); });
    const bench::CudnnRmsNorm norm{.x = model({rows(), c_.width}),
                                   .weight = model({c_.width}),
                                   .rstd = state({rows()}, 0.1, 1),
                                   .y = model({rows(), c_.width}),
                                   .dy = model({rows(), c_.width}),
                                   .dx = model({rows(), c_.width}),
                                   .dweight = model({c_.width})};
    add_peer("cudnn rms_norm forward", bytes_of({norm.x, norm.y, norm.rstd}),
             [&] { return bench::cudnn_rms_norm(context_, norm, 1e-5f); });
    add_peer("cudnn rms_norm backward", bytes_of({norm.x, norm.dy, norm.dx, norm.rstd}),
             [&] { return bench::cudnn_rms_norm_backward(context_, norm); });
  }
  /// Where cuDNN has no engine, the row says so.
  template <class Make>
  void add_peer(const std::string& name, double bytes, const Make& make) {
    try {
      peers_.push_back(make());
    } catch (const core::Error& error) {
      return skip(name, error.what());
    }
    add(name, bytes, 0, [op = &peers_.back()] { op->run(); });
  }
  static void skip(const std::string& name, const std::string& reason) {
    const nlohmann::ordered_json row = {{"bench", "op"}, {"op", name}, {"skipped", reason}};
    std::printf("%s\n", row.dump().c_str());
  }

  core::Context& context_;
  DType dtype_;
  model::ModelConfig c_;
  int64_t batch_, length_;
  std::deque<core::Tensor> tensors_;
  std::deque<bench::CudnnOp> peers_;
  std::vector<Op> ops_;
};

void report(const Op& op, double seconds, const bench::Ceilings& ceilings,
            const nlohmann::ordered_json& where) {
  nlohmann::ordered_json row = {{"bench", "op"}, {"op", op.name}};
  row.update(where);
  row["milliseconds"] = 1e3 * seconds;
  row["gbytes_per_second"] = op.bytes / seconds / 1e9;
  row["share_of_copy_rate"] = op.bytes / seconds / ceilings.bytes_per_second;
  if (op.flops > 0) {
    row["tflops"] = op.flops / seconds / 1e12;
    row["share_of_matrix_rate"] = op.flops / seconds / ceilings.flops_per_second;
  }
  // The least time that either limit allows, over the time taken.
  row["share_of_floor"] =
      std::max(op.bytes / ceilings.bytes_per_second, op.flops / ceilings.flops_per_second) /
      seconds;
  std::printf("%s\n", row.dump().c_str());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  longhaul::bench::end_on_errors("bench_ops");
  CLI::App app{"Every op of a training step by itself; one JSON object a line"};
  std::string shape = "mamba2-130m", only;
  launch::ComputeOptions compute;
  bench::Repetition repetition;
  int64_t batch = 1, length = 2048, chunk = 0;
  std::string device = "auto", dtype = "fp32";
  app.add_option("--shape", shape, "a model's sizes")->check(CLI::IsMember(bench::shapes()));
  app.add_option("--batch", batch, "sequences")->capture_default_str();
  app.add_option("--length", length, "tokens of a sequence")->capture_default_str();
  app.add_option("--chunk", chunk, "SSD chunk; 0: the shape's");
  app.add_option("--only", only, "ops whose name begins so");
  app.add_option("--seconds", repetition.seconds, "that each op runs at least")
      ->capture_default_str();
  app.add_option("--device", device, "auto | cpu | cuda");
  app.add_option("--dtype", dtype, "fp32 | bf16")->check(CLI::IsMember({"fp32", "bf16"}));
  CLI11_PARSE(app, argc, argv);
  launch::RankSession session(&argc, &argv);
  compute.device = device;
  core::Context context = launch::make_context(compute, session);
  const DType type = dtype == "bf16" ? DType::kBF16 : DType::kF32;
  model::ModelConfig config = bench::shapes().at(shape).config;
  if (chunk > 0) config.chunk = chunk;
  const bench::Ceilings ceilings = bench::measure_ceilings(context, type, repetition);
  nlohmann::ordered_json first = {{"bench", "ceilings"}, {"dtype", dtype}};
  first["copy_gbytes_per_second"] = ceilings.bytes_per_second / 1e9;
  first["matrix_tflops"] = ceilings.flops_per_second / 1e12;
  first["machine"] = nlohmann::json::parse(bench::machine_json(context));
  std::printf("%s\n", first.dump().c_str());
  const Ops ops(context, type, config, batch, length);
  const nlohmann::ordered_json where = {{"shape", shape},
                                        {"dtype", dtype},
                                        {"batch", batch},
                                        {"length", length},
                                        {"chunk", config.chunk}};
  for (const Op& op : ops.list()) {
    if (op.name.rfind(only, 0) != 0) continue;
    report(op, bench::time_of(context, repetition, op.run), ceilings, where);
  }
  return 0;
}
