#include "bench/support/scan_arguments.h"

namespace longhaul::bench {
namespace {

double bytes_of(std::initializer_list<core::TensorView> views) {
  double bytes = 0;
  for (const core::TensorView& view : views) bytes += static_cast<double>(view.bytes());
  return bytes;
}

}  // namespace

ScanArguments scan_arguments(const TensorSource& make, int64_t batch, int64_t length,
                             int64_t channels, int64_t state) {
  const core::Shape rows{batch, length, channels}, narrow{batch, length, state},
      states{batch, channels, state}, parameter{channels, state},
      chunks{batch, kernels::scan_chunks(length), channels, state};
  const kernels::SelectiveScanForward f{.x = make.model(rows),
                                        .dt = make.model(rows),
                                        .dt_bias = make.state({channels}, 1, -4),
                                        .A_log = make.state(parameter, 0.5, 1.5),
                                        .B = make.model(narrow),
                                        .C = make.model(narrow),
                                        .D = make.state({channels}, 1, 0),
                                        .initial_state = make.state(states, 1, 0),
                                        .y = make.model(rows),
                                        .final_state = make.state(states, 1, 0),
                                        .chunk_states = make.state(chunks, 1, 0),
                                        .log_decay = {}};
  const kernels::SelectiveScanBackward b{.x = f.x,
                                         .dt = f.dt,
                                         .dt_bias = f.dt_bias,
                                         .A_log = f.A_log,
                                         .B = f.B,
                                         .C = f.C,
                                         .D = f.D,
                                         .chunk_states = f.chunk_states,
                                         .dy = make.model(rows),
                                         .dfinal_state = make.state(states, 1, 0),
                                         .dx = make.model(rows),
                                         .ddt = make.model(rows),
                                         .dB = make.model(narrow),
                                         .dC = make.model(narrow),
                                         .ddt_bias = make.state({channels}, 1, 0),
                                         .dA_log = make.state(parameter, 1, 0),
                                         .dD = make.state({channels}, 1, 0),
                                         .dinitial_state = make.state(states, 1, 0)};
  return {.forward = f,
          .backward = b,
          .forward_bytes = bytes_of({f.x, f.dt, f.B, f.C, f.y, f.chunk_states}),
          .backward_bytes =
              bytes_of({b.x, b.dt, b.B, b.C, b.chunk_states, b.dy, b.dx, b.ddt, b.dB, b.dC})};
}

}  // namespace longhaul::bench
