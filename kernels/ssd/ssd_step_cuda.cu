// One token of the recurrence: bound by reading and writing the state once.
#include "kernels/core/block_sum.cuh"
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda {
namespace ssd {
namespace {

template <class T>
struct Step {
  const T *x, *B, *C;
  const float *dt, *A_log, *D;
  float* state;
  T* y;
  int64_t heads, head_dim, groups, size, row_blocks;
  int64_t x_stride, B_stride, C_stride, dt_stride, y_stride;  ///< between sequences
};

/// Rows of a state that one block has, a warp each.
constexpr int kStepRows = 8;
int64_t row_blocks(int64_t head_dim) { return core::ceil_div(head_dim, kStepRows); }

/// Block (head of a sequence, kStepRows rows of its state).
template <class T>
__global__ void step_rows(Step<T> args) {
  const auto blocks = static_cast<unsigned>(args.row_blocks),
             heads = static_cast<unsigned>(args.heads), head = blockIdx.x / blocks;
  const int64_t p = blockIdx.x % blocks * kStepRows + threadIdx.x / 32;
  const int64_t h = head % heads, b = head / heads;
  if (p >= args.head_dim) return;
  const int64_t group = h * args.groups / args.heads * args.size;
  const T* B = args.B + b * args.B_stride + group;
  const T* C = args.C + b * args.C_stride + group;
  float* row = args.state + ((b * args.heads + h) * args.head_dim + p) * args.size;
  const float dt = args.dt[b * args.dt_stride + h];
  const float x = core::device::to_float(args.x[b * args.x_stride + h * args.head_dim + p]);
  const float decay = expf(dt * decay_rate(args.A_log[h])), input = dt * x;
  float sum = 0;
  for (int64_t n = threadIdx.x % 32; n < args.size; n += 32) {
    const float next = decay * row[n] + input * core::device::to_float(B[n]);
    row[n] = next;
    sum += next * core::device::to_float(C[n]);
  }
  sum = core::device::warp_sum(sum);
  if (threadIdx.x % 32 != 0) return;
  const float skip = args.D == nullptr ? 0.0f : args.D[h];
  args.y[b * args.y_stride + h * args.head_dim + p] = core::device::from_float<T>(sum + skip * x);
}

}  // namespace
}  // namespace ssd

void ssd_step(core::Context& context, const SsdStep& args) {
  const int64_t batch = args.x.extent(0), heads = args.x.extent(1), head_dim = args.x.extent(2);
  core::dispatch_device("ssd_step", args.x.dtype(), [&]<class T>(T) {
    core::launch(context,
                 {.blocks = batch * heads * ssd::row_blocks(head_dim),
                  .threads = 32 * static_cast<int>(std::min<int64_t>(ssd::kStepRows, head_dim))},
                 ssd::step_rows<T>,
                 ssd::Step<T>{.x = args.x.data<T>(),
                              .B = args.B.data<T>(),
                              .C = args.C.data<T>(),
                              .dt = args.dt.data<float>(),
                              .A_log = args.A_log.data<float>(),
                              .D = core::optional_pointer<float>(args.D),
                              .state = args.state.data<float>(),
                              .y = args.y.data<T>(),
                              .heads = heads,
                              .head_dim = head_dim,
                              .groups = args.B.extent(1),
                              .size = args.B.extent(2),
                              .row_blocks = ssd::row_blocks(head_dim),
                              .x_stride = args.x.stride(0),
                              .B_stride = args.B.stride(0),
                              .C_stride = args.C.stride(0),
                              .dt_stride = args.dt.stride(0),
                              .y_stride = args.y.stride(0)});
  });
}

}  // namespace longhaul::kernels::cuda
