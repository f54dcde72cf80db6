#include "model/segment_convolution.h"

#include "kernels/conv1d/causal_conv1d.h"

namespace longhaul::model {

using core::Context;
using core::Shape;
using core::Tensor;
using core::TensorView;

SegmentConvolution::SegmentConvolution(const BlockWeight& weight, const BlockWeight& bias)
    : weight_(weight), bias_(bias) {
  const Shape taps{weight.value.extent(0), weight.value.extent(2)};
  weight_.value = weight.value.reshape(taps);
  weight_.gradient = weight.gradient.reshape(taps);
}

void SegmentConvolution::forward(Context& context, const BlockForward& args, const TensorView& x,
                                 const TensorView& y) const {
  TensorView initial = view_or_absent(args.initial, kConv);
  Tensor halo;
  if (args.parallel != nullptr) {
    halo = Tensor(context, core::state_dtype(x.dtype()), tail(args.batch));
    args.parallel->halo->start_forward(x, initial, halo)->finish();
    initial = halo;
  }
  if (const TensorView entering = view_or_absent(args.entering, kConv)) {
    copy_or_zero(context, initial, entering);
  }
  kernels::causal_conv1d_forward(context, {.x = x,
                                           .weight = weight_.value,
                                           .bias = bias_.value,
                                           .initial_state = initial,
                                           .y = y,
                                           .final_state = view_or_absent(args.final_state, kConv)});
}

void SegmentConvolution::backward(Context& context, const BlockBackward& args, const TensorView& x,
                                  const TensorView& dy, const TensorView& dx) const {
  const bool exchange = args.parallel != nullptr && args.parallel->full_gradient;
  const TensorView dboundary = view_or_absent(args.dinitial, kConv);
  Tensor dhalo;
  if (exchange) dhalo = Tensor(context, core::state_dtype(x.dtype()), tail(args.batch));
  kernels::causal_conv1d_backward(context, {.x = x,
                                            .weight = weight_.value,
                                            .bias = bias_.value,
                                            .initial_state = view_or_absent(args.entering, kConv),
                                            .dy = dy,
                                            .dfinal_state = view_or_absent(args.dfinal, kConv),
                                            .dx = dx,
                                            .dweight = weight_.gradient,
                                            .dbias = bias_.gradient,
                                            .dinitial_state = exchange ? dhalo.view() : dboundary});
  if (exchange) args.parallel->halo->start_backward(dhalo, dx, dboundary)->finish();
}

}  // namespace longhaul::model
