#include <vector>

#include "kernels/core/dispatch.h"
#include "kernels/selective_scan/scan_block_cpu.h"

namespace longhaul::kernels::cpu {
namespace scan {
namespace {

template <class T>
struct ForwardArrays : BlockArrays<T> {
  T *input, *y;  ///< [width], of one token: Δ x, and y
  template <class F>
  void each(const Geometry& g, const F& f) {
    BlockArrays<T>::each(g, f);
    for (T** array : {&input, &y}) f(*array, g.width);
  }
};

template <class T>
struct Forward : Inputs<T> {
  explicit Forward(const SelectiveScanForward& args)
      : Inputs<T>(args),
        y(args.y),
        initial_state(core::optional_data<T>(args.initial_state)),
        final_state(core::optional_data<T>(args.final_state)),
        chunk_states(core::optional_data<T>(args.chunk_states)),
        log_decay(core::optional_data<T>(args.log_decay)) {}

  core::TokenRows<T> y;
  const T* initial_state;
  T *final_state, *chunk_states, *log_decay;
};

/// h = e^{Δ A} h + (Δ x) B of R states of one token, and y += C h.
template <class T, int R, bool kOutput>
[[gnu::flatten]] void advance(int64_t width, const T* A, const T* delta, const T* input, const T* B,
                              const T* C, T* h, T* y) {
#pragma omp simd
  for (int64_t c = 0; c < width; ++c) {
    T sum = kOutput ? y[c] : T(0);
    core::unrolled<R>([&](auto r) {
      const int64_t at = r * width + c;
      h[at] = std::fma(core::vector_exp(delta[c] * A[at]), h[at], input[c] * B[r]);
      if constexpr (kOutput) sum = std::fma(C[r], h[at], sum);
    });
    if constexpr (kOutput) y[c] = sum;
  }
}

/// One block of channels of one sequence.
template <class T>
class ForwardItem {
 public:
  ForwardItem(core::Context& context, const Forward<T>& f, int64_t item)
      : f_(f), block_(f.g, item), s_(context, f.g), steps_(static_cast<size_t>(f.g.width)) {
    block_.load_parameters(f_, s_);
  }

  void whole() {
    block_.load_state(f_.initial_state, s_.state);
    for (int64_t c = 0; c < f_.g.chunks; ++c) {
      if (f_.chunk_states) {
        block_.store_transposed(s_.state, f_.chunk_states + block_.chunk_state_at(c));
      }
      chunk<true>(c);
    }
    if (f_.final_state) block_.store_state(s_.state, f_.final_state);
    if (f_.log_decay) store_log_decay(f_.log_decay);
  }

  void map(T* log_decay, T* state_from_zero) {
    block_.load_state(nullptr, s_.state);
    for (int64_t c = 0; c < f_.g.chunks; ++c) chunk<false>(c);
    block_.store_state(s_.state, state_from_zero);
    store_log_decay(log_decay);
  }

 private:
  template <bool kOutput>
  void chunk(int64_t c) {
    const int64_t width = f_.g.width;
    block_.load_rows(f_.x, c, s_.rows);
    block_.load_time_steps(f_, c, s_.dt_bias, s_.delta, s_.delta);
    for (int64_t i = 0; i < f_.g.tokens(c); ++i) {
      const T *x = s_.rows + i * width, *delta = s_.delta + i * width, *D = s_.D;
      T *input = s_.input, *y = s_.y;
      double* steps = steps_.data();
#pragma omp simd
      for (int64_t k = 0; k < width; ++k) {
        input[k] = delta[k] * x[k];
        if constexpr (kOutput) y[k] = D[k] * x[k];
        steps[k] += static_cast<double>(delta[k]);
      }
      token<kOutput>(c * kScanChunk + i, delta);
    }
  }

  template <bool kOutput>
  void token(int64_t t, const T* delta) {
    const T* B = f_.B.at(block_.b, t);
    const T* C = kOutput ? f_.C.at(block_.b, t) : nullptr;
    const int64_t width = f_.g.width;
    for_states(f_.g.state, [&]<int R>(int64_t n, std::integral_constant<int, R>) {
      advance<T, R, kOutput>(width, s_.A + n * width, delta, s_.input, B + n,
                             kOutput ? C + n : nullptr, s_.state + n * width, s_.y);
    });
    if constexpr (kOutput) block_.store_row(s_.y, f_.y, t);
  }

  void store_log_decay(T* log_decay) {
    constexpr double kLowest = std::numeric_limits<T>::lowest();
    for (int64_t i = 0; i < f_.g.states(); ++i) {
      const double sum = steps_[static_cast<size_t>(i % f_.g.width)];
      s_.A[i] = static_cast<T>(std::max(sum * static_cast<double>(s_.A[i]), kLowest));
    }
    block_.store_state(s_.A, log_decay);
  }

  const Forward<T>& f_;
  const Block<T> block_;
  core::Scratch<T, ForwardArrays<T>> s_;
  std::vector<double> steps_;  // ΣΔ of the channels, so far
};

template <class T, class Body>
void for_blocks(core::Context& context, const Forward<T>& f, const Body& body) {
  core::parallel_items(context, f.g.batch * f.g.blocks, [&](int64_t i) {
    ForwardItem<T> item(context, f, i);
    body(item);
  });
}

}  // namespace
}  // namespace scan

void selective_scan_forward(core::Context& context, const SelectiveScanForward& args) {
  core::dispatch_float("selective_scan_forward", args.dt.dtype(), [&]<class T>(T) {
    const scan::Forward<T> f(args);
    scan::for_blocks(context, f, [](auto& item) { item.whole(); });
  });
}

void selective_scan_map(core::Context& context, const SelectiveScanForward& args,
                        const SelectiveScanMap& map) {
  core::dispatch_float("selective_scan_map", args.dt.dtype(), [&]<class T>(T) {
    const scan::Forward<T> f(args);
    T *log_decay = map.log_decay.data<T>(), *state_from_zero = map.state_from_zero.data<T>();
    scan::for_blocks(context, f, [&](auto& item) { item.map(log_decay, state_from_zero); });
  });
}

}  // namespace longhaul::kernels::cpu

namespace longhaul::kernels {

Workspace cpu::selective_scan_forward_workspace(const ScanExtents& e) {
  return core::dispatch_float(
      "selective_scan_forward_workspace", core::state_dtype(e.dtype), [&]<class T>(T) {
        using Scratch = core::Scratch<T, scan::ForwardArrays<T>>;
        return scan::scratch_workspace<Scratch>(scan::geometry_of(e), e.threads, sizeof(T));
      });
}
Workspace cpu::selective_scan_map_workspace(const ScanExtents& extents) {
  return cpu::selective_scan_forward_workspace(extents);
}

}  // namespace longhaul::kernels
