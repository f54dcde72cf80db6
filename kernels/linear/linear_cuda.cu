#include "kernels/core/row_sums.cuh"
#include "kernels/linear/gemm_cuda.h"
#include "kernels/linear/linear.h"

namespace longhaul::kernels::cuda {
namespace {

/// y = bias in every row, or addend + bias; Y is the bias's type or wider.
template <class T, class Y>
struct SetBias {
  const T* bias;
  const Y* addend;  ///< or null
  Y* y;
  int64_t width, addend_stride, stride;
  __device__ void operator()(int64_t i) const {
    const int64_t row = i / width, column = i % width;
    float value = core::device::to_float(bias[column]);
    if (addend != nullptr) value += core::device::to_float(addend[row * addend_stride + column]);
    y[row * stride + column] = core::device::from_float<Y>(value);
  }
};

/// Item: one column in one block of rows.
template <class T>
struct ColumnSums {
  const T* dy;
  float* parts;  ///< [blocks, width]
  int64_t width, stride;
  core::DeviceRowBlocks blocks;
  __device__ void operator()(int64_t i) const {
    const int64_t block = i / width, column = i % width;
    float sum = 0;
    for (int64_t row = blocks.begin(block); row < blocks.end(block); ++row) {
      sum += core::device::to_float(dy[row * stride + column]);
    }
    parts[i] = sum;
  }
};

}  // namespace

void linear_forward(core::Context& context, const LinearForward& args) {
  const int64_t rows = args.x.extent(0), out = args.weight.extent(0);
  if (args.bias) {
    core::dispatch_wide(
        "linear_forward", args.x.dtype(), args.y.dtype(), [&]<class T, class Y>(T, Y) {
          core::for_each(
              context, rows * out,
              SetBias<T, Y>{.bias = args.bias.data<T>(),
                            .addend = core::optional_pointer<Y>(args.addend),
                            .y = args.y.data<Y>(),
                            .width = out,
                            .addend_stride = args.addend ? leading_dimension(args.addend) : 0,
                            .stride = leading_dimension(args.y)});
        });
  }
  gemm(context, {.transpose_b = true,
                 .a = args.x,
                 .b = args.weight,
                 .addend = args.bias ? args.y : args.addend,
                 .c = args.y});
}

void linear_backward(core::Context& context, const LinearBackward& args) {
  if (args.dx) {
    gemm(context, {.a = args.dy,
                   .b = args.weight,
                   .addend = args.add_to_dx ? args.dx : core::TensorView{},
                   .c = args.dx});
  }
  if (args.dweight) {
    gemm(context, {.transpose_a = true,
                   .a = args.dy,
                   .b = args.x,
                   .addend = args.overwrite_dweight ? core::TensorView{} : args.dweight,
                   .c = args.dweight});
  }
  if (!args.dbias) return;
  const int64_t out = args.dy.extent(1);
  const core::DeviceRowBlocks blocks(args.dy.extent(0));
  const core::Tensor parts(context, core::DType::kF32, {blocks.count, out});
  core::dispatch_device("linear_backward", args.dy.dtype(), [&]<class T>(T) {
    core::for_each(context, blocks.count * out,
                   ColumnSums<T>{.dy = args.dy.data<T>(),
                                 .parts = parts.data<float>(),
                                 .width = out,
                                 .stride = leading_dimension(args.dy),
                                 .blocks = blocks});
  });
  core::add_parts(context, parts, args.dbias);
}

}  // namespace longhaul::kernels::cuda
