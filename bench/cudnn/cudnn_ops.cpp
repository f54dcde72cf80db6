#include "bench/cudnn/cudnn_ops.h"

#include "bench/cudnn/cudnn_graph.h"
#include "kernels/core/error.h"

namespace longhaul::bench {

namespace {

using core::TensorView;

/// [batch, length, channels] as cuDNN's N, C, H = 1, W with channels adjacent.
CudnnExtents of_rows(const TensorView& view) {
  const int64_t batch = view.extent(0), length = view.extent(1), channels = view.extent(2);
  const int64_t sequence = length * channels;
  return {{batch, channels, 1, length}, {sequence, 1, sequence, channels}};
}
/// [channels, taps] as K, C / groups = 1, R = 1, S: as many groups as channels.
CudnnExtents of_taps(const TensorView& weight) {
  const int64_t channels = weight.extent(0), taps = weight.extent(1);
  return {{channels, 1, 1, taps}, {taps, 1, taps, 1}};
}

CudnnDescriptor& convolution(CudnnOp::Plan& plan) {
  const std::vector<int64_t> ones{1, 1}, zeros{0, 0};
  CudnnDescriptor& made = plan.descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  made.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION)
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, ones)
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, ones)
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, zeros)
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, zeros);
  return made.finalize();
}

/// The three directions differ in the names of their attributes only.
struct Direction {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, weight, y, convolution, alpha, beta;
  const char* name;
};
constexpr Direction kForward{CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                             "a depthwise convolution"};
constexpr Direction kToInput{CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                             "the gradient of a depthwise convolution's input"};
constexpr Direction kToWeight{CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                              "the gradient of a depthwise convolution's weight"};

CudnnOp depthwise(core::Context& context, const Direction& direction, const TensorView& x,
                  const TensorView& weight, const TensorView& y) {
  CHECK_EQ(x.extent(1), y.extent(1) + weight.extent(1) - 1);
  CHECK(x.is_contiguous() && weight.is_contiguous() && y.is_contiguous());
  auto plan = std::make_unique<CudnnOp::Plan>(context);
  CudnnDescriptor& input = plan->tensor(x, of_rows(x));
  CudnnDescriptor& taps = plan->tensor(weight, of_taps(weight));
  CudnnDescriptor& output = plan->tensor(y, of_rows(y));
  CudnnDescriptor& how = convolution(*plan);
  CudnnDescriptor& operation = plan->descriptor(direction.type);
  operation.set(direction.x, input)
      .set(direction.weight, taps)
      .set(direction.y, output)
      .set(direction.convolution, how)
      .set(direction.alpha, CUDNN_TYPE_FLOAT, 1.0f)
      .set(direction.beta, CUDNN_TYPE_FLOAT, 0.0f)
      .finalize();
  plan->choose(operation, core::message(direction.name, ", ", x.shape(), " with ", weight.shape(),
                                        " in ", name_of(x.dtype())));
  return CudnnOp(std::move(plan));
}

/// cuDNN wants four dimensions, of which the second is normalised.
CudnnExtents of_matrix(int64_t rows, int64_t width) {
  return {{rows, width, 1, 1}, {width, 1, width, width}};
}

std::string name_of_norm(const char* pass, const TensorView& x) {
  return core::message("RMSNorm ", pass, ", ", x.shape(), " in ", name_of(x.dtype()));
}

}  // namespace

CudnnOp cudnn_depthwise(core::Context& context, const TensorView& x, const TensorView& weight,
                        const TensorView& y) {
  return depthwise(context, kForward, x, weight, y);
}
CudnnOp cudnn_depthwise_dx(core::Context& context, const TensorView& dy, const TensorView& weight,
                           const TensorView& dx) {
  return depthwise(context, kToInput, dx, weight, dy);
}
CudnnOp cudnn_depthwise_dweight(core::Context& context, const TensorView& x, const TensorView& dy,
                                const TensorView& dweight) {
  return depthwise(context, kToWeight, x, dweight, dy);
}

CudnnOp cudnn_rms_norm(core::Context& context, const CudnnRmsNorm& args, float epsilon) {
  const int64_t rows = args.x.extent(0), width = args.x.extent(1);
  auto plan = std::make_unique<CudnnOp::Plan>(context);
  CudnnDescriptor& x = plan->tensor(args.x, of_matrix(rows, width));
  CudnnDescriptor& weight = plan->tensor(args.weight, of_matrix(1, width));
  CudnnDescriptor& rstd = plan->tensor(args.rstd, of_matrix(rows, 1));
  CudnnDescriptor& y = plan->tensor(args.y, of_matrix(rows, width));
  CudnnDescriptor& small = plan->number(epsilon);
  CudnnDescriptor& operation = plan->descriptor(CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_TYPE_NORM_MODE, CUDNN_RMS_NORM)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_TYPE_NORM_FWD_PHASE, CUDNN_NORM_FWD_TRAINING)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, x)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, weight)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, small)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, rstd)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, y)
      .finalize();
  plan->choose(operation, name_of_norm("forward", args.x));
  return CudnnOp(std::move(plan));
}

CudnnOp cudnn_rms_norm_backward(core::Context& context, const CudnnRmsNorm& args) {
  const int64_t rows = args.x.extent(0), width = args.x.extent(1);
  auto plan = std::make_unique<CudnnOp::Plan>(context);
  CudnnDescriptor& x = plan->tensor(args.x, of_matrix(rows, width));
  CudnnDescriptor& weight = plan->tensor(args.weight, of_matrix(1, width));
  CudnnDescriptor& rstd = plan->tensor(args.rstd, of_matrix(rows, 1));
  CudnnDescriptor& dy = plan->tensor(args.dy, of_matrix(rows, width));
  CudnnDescriptor& dx = plan->tensor(args.dx, of_matrix(rows, width));
  CudnnDescriptor& dweight = plan->tensor(args.dweight, of_matrix(1, width));
  CudnnDescriptor& operation = plan->descriptor(CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_NORM_BWD_MODE, CUDNN_TYPE_NORM_MODE, CUDNN_RMS_NORM)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, x)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, weight)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, rstd)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, dy)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, dx)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, dweight)
      .finalize();
  plan->choose(operation, name_of_norm("backward", args.x));
  return CudnnOp(std::move(plan));
}

}  // namespace longhaul::bench
