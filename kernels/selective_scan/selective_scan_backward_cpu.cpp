// With the decays a = e^{Δ A} and u = Δ x, and g the gradient to the state, from the last token to
// the first:
//   g_t = a_{t+1} ⊙ g_{t+1} + dy_t C_tᵀ;   dC_t = Σ_c dy_t h_t;   dB_t = Σ_c u_t g_t;
//   dx_t = D dy_t + Δ_t g_t B_t;   dΔ_t = x_t g_t B_t + Σ_n A ⊙ w_t;   dA_log = A ⊙ Σ_t Δ_t w_t
// with w_t = g_t ⊙ a_t ⊙ h_{t−1}. The states and decays of a chunk are computed again from the
// state that entered it.
#include "kernels/core/dispatch.h"
#include "kernels/selective_scan/scan_block_cpu.h"

namespace longhaul::kernels::cpu {
namespace scan {
namespace {

/// Sums over tokens that a block hands on, [width] each, in double: Σ Δ w of each state, dD,
/// ddt_bias.
inline int64_t sums_of(const Geometry& g) { return (g.state + 2) * g.width; }

template <class T>
struct BackwardArrays : BlockArrays<T> {
  T *h, *decay;  ///< [tokens of a chunk + 1][state][width], the entering state first; e^{Δ A}
  T *raw, *dy;   ///< [tokens of a chunk][width]; raw: the time step before softplus
  T *input, *dinput, *dlog;  ///< [width], of one token: u, g B and Σ A w
  T* sums;                   ///< sums_of, of one chunk
  template <class F>
  void each(const Geometry& g, const F& f) {
    BlockArrays<T>::each(g, f);
    f(h, (kScanChunk + 1) * g.states());
    f(decay, kScanChunk * g.states());
    for (T** array : {&raw, &dy}) f(*array, kScanChunk * g.width);
    for (T** array : {&input, &dinput, &dlog}) f(*array, g.width);
    f(sums, sums_of(g));
  }
};

/// Where the sums over channels of one row [state] of dB and dC go: to the target, or where several
/// blocks share it, to each block's part, [blocks, batch, length, state].
template <class T>
struct RowSums {
  RowSums(core::Context& context, const Geometry& g, const core::TensorView& view) : target(view) {
    if (g.blocks > 1) {
      parts = core::Tensor(context, core::kDTypeOf<T>, {g.blocks, g.batch, g.length, g.state});
    }
  }
  T* at(const Geometry& g, int64_t block, int64_t b, int64_t t) const {
    if (!parts) return target.at(b, t);
    return parts.template data<T>() + ((block * g.batch + b) * g.length + t) * g.state;
  }
  void add(core::Context& context, const Geometry& g) const {
    if (!parts) return;
    core::parallel_ranges(context, g.batch * g.length, 64, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        T* to = target.at(row / g.length, row % g.length);
        std::copy_n(at(g, 0, 0, row), g.state, to);
        for (int64_t block = 1; block < g.blocks; ++block) {
          const T* part = at(g, block, 0, row);
          for (int64_t n = 0; n < g.state; ++n) to[n] += part[n];
        }
      }
    });
  }

  core::TokenRows<T> target;
  core::Tensor parts;
};

template <class T>
struct Backward : Inputs<T> {
  explicit Backward(const SelectiveScanBackward& args)
      : Inputs<T>(args),
        dy(args.dy),
        dx(args.dx),
        ddt(args.ddt),
        chunk_states(core::optional_data<T>(args.chunk_states)),
        dfinal_state(core::optional_data<T>(args.dfinal_state)),
        dinitial_state(core::optional_data<T>(args.dinitial_state)) {}

  core::TokenRows<T> dy, dx, ddt;
  const T *chunk_states, *dfinal_state;
  T* dinitial_state;
};

/// h_t = a h_{t−1} + u B of R states of one token; keeps a.
template <class T, int R>
[[gnu::flatten]] void advance(int64_t width, const T* A, const T* delta, const T* input, const T* B,
                              const T* before, T* decay, T* h) {
#pragma omp simd
  for (int64_t c = 0; c < width; ++c) {
    core::unrolled<R>([&](auto r) {
      const int64_t at = r * width + c;
      const T a = core::vector_exp(delta[c] * A[at]);
      decay[at] = a;
      h[at] = std::fma(a, before[at], input[c] * B[r]);
    });
  }
}

/// One state of all channels at one token.
template <class T>
struct StateColumn {
  const T *A, *decay, *before, *h;
  T *g, *sum;  ///< g of the token after, times its decay; Σ Δ w
};
template <class T>
struct TokenColumn {
  const T *delta, *input, *dy;
  T *dinput, *dlog;
};
template <class T>
struct OfChannels {
  T dB, dC;
};

/// g of this token and what follows from it; leaves a g.
template <class T>
[[gnu::flatten]] OfChannels<T> retreat(int64_t width, const TokenColumn<T>& token,
                                       const StateColumn<T>& state, T B, T C) {
  // No structured bindings: clang has none of them in OpenMP's regions.
  const T *delta = token.delta, *input = token.input, *dy = token.dy;
  T *dinput = token.dinput, *dlog = token.dlog;
  const T *A = state.A, *decay = state.decay, *before = state.before, *h = state.h;
  T *gradient = state.g, *sum = state.sum;
  T dB = 0, dC = 0;
#pragma omp simd reduction(+ : dB, dC)
  for (int64_t c = 0; c < width; ++c) {
    const T g = std::fma(dy[c], C, gradient[c]);
    dB += g * input[c];
    dC += dy[c] * h[c];
    dinput[c] = std::fma(g, B, dinput[c]);
    const T leaving = g * decay[c];
    const T w = leaving * before[c];
    dlog[c] = std::fma(A[c], w, dlog[c]);
    sum[c] = std::fma(delta[c], w, sum[c]);
    gradient[c] = leaving;
  }
  return {dB, dC};
}

/// One block of channels of one sequence.
template <class T>
class BackwardItem {
 public:
  BackwardItem(core::Context& context, const Backward<T>& f, int64_t item, const RowSums<T>& dB,
               const RowSums<T>& dC, double* sums)
      : f_(f), g_(f.g), block_(f.g, item), dB_(dB), dC_(dC), sums_(sums), s_(context, f.g) {
    block_.load_parameters(f_, s_);
    std::fill_n(sums_, sums_of(g_), 0.0);
  }

  void run() {
    block_.load_state(f_.dfinal_state, s_.state);
    for (int64_t c = g_.chunks - 1; c >= 0; --c) {
      load_chunk(c);
      std::fill_n(s_.sums, sums_of(g_), T(0));
      for (int64_t i = g_.tokens(c) - 1; i >= 0; --i) token(c * kScanChunk + i, i);
      for (int64_t i = 0; i < sums_of(g_); ++i) sums_[i] += static_cast<double>(s_.sums[i]);
    }
    if (f_.dinitial_state) block_.store_state(s_.state, f_.dinitial_state);
  }

 private:
  /// The inputs, the decays and the states of chunk c.
  void load_chunk(int64_t c) {
    block_.load_rows(f_.x, c, s_.rows);
    block_.load_rows(f_.dy, c, s_.dy);
    block_.load_time_steps(f_, c, s_.dt_bias, s_.raw, s_.delta);
    block_.load_transposed(f_.chunk_states + block_.chunk_state_at(c), s_.h);
    const int64_t width = g_.width, states = g_.states();
    for (int64_t i = 0; i < g_.tokens(c); ++i) {
      load_input(i);
      const T* B = f_.B.at(block_.b, c * kScanChunk + i);
      for_states(g_.state, [&]<int R>(int64_t n, std::integral_constant<int, R>) {
        const int64_t at = i * states + n * width;
        advance<T, R>(width, s_.A + n * width, s_.delta + i * width, s_.input, B + n, s_.h + at,
                      s_.decay + at, s_.h + at + states);
      });
    }
  }

  void load_input(int64_t i) {
    const T *x = s_.rows + i * g_.width, *delta = s_.delta + i * g_.width;
    for (int64_t k = 0; k < g_.width; ++k) s_.input[k] = delta[k] * x[k];
  }

  /// Token t, the i-th of its chunk.
  void token(int64_t t, int64_t i) {
    const int64_t width = g_.width, states = g_.states();
    load_input(i);
    std::fill_n(s_.dinput, width, T(0));
    std::fill_n(s_.dlog, width, T(0));
    const T *B = f_.B.at(block_.b, t), *C = f_.C.at(block_.b, t);
    T *dB = dB_.at(g_, block_.number, block_.b, t), *dC = dC_.at(g_, block_.number, block_.b, t);
    const TokenColumn<T> column{s_.delta + i * width, s_.input, s_.dy + i * width, s_.dinput,
                                s_.dlog};
    for (int64_t n = 0; n < g_.state; ++n) {
      const int64_t at = n * width, in_chunk = i * states + at;
      const auto sums = retreat<T>(width, column,
                                   {s_.A + at, s_.decay + in_chunk, s_.h + in_chunk,
                                    s_.h + in_chunk + states, s_.state + at, s_.sums + at},
                                   B[n], C[n]);
      dB[n] = sums.dB;
      dC[n] = sums.dC;
    }
    store_token(t, i);
  }

  /// dx and ddt, and what the token adds to dD and ddt_bias.
  void store_token(int64_t t, int64_t i) {
    const int64_t at = i * g_.width;
    const T *x = s_.rows + at, *dy = s_.dy + at, *delta = s_.delta + at, *raw = s_.raw + at;
    const T* D = s_.D;
    T *dx = s_.dinput, *ddt = s_.dlog;
    T *dD = s_.sums + g_.states(), *ddt_bias = dD + g_.width;
#pragma omp simd
    for (int64_t k = 0; k < g_.width; ++k) {
      const T step = std::fma(x[k], dx[k], ddt[k]) * core::sigmoid(raw[k]);
      dx[k] = std::fma(delta[k], dx[k], D[k] * dy[k]);
      ddt[k] = step;
      dD[k] = std::fma(dy[k], x[k], dD[k]);
      ddt_bias[k] += step;
    }
    block_.store_row(dx, f_.dx, t);
    block_.store_row(ddt, f_.ddt, t);
  }

  const Backward<T>& f_;
  const Geometry& g_;
  const Block<T> block_;
  const RowSums<T>&dB_, &dC_;
  double* sums_;
  core::Scratch<T, BackwardArrays<T>> s_;
};

/// The sums of all blocks, [batch, blocks, sums_of], over the sequences and into the gradients.
template <class T>
void add_sums(core::Context& context, const Geometry& g, const double* sums,
              const SelectiveScanBackward& args) {
  const T* A_log = args.A_log.data<T>();
  T *dA_log = args.dA_log.data<T>(), *dD = args.dD.data<T>(), *ddt_bias = args.ddt_bias.data<T>();
  core::parallel_ranges(context, g.channels, 64, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const auto sum_of = [&](int64_t n) {
        double sum = 0;
        for (int64_t b = 0; b < g.batch; ++b) {
          sum += sums[(b * g.blocks + c / g.width) * sums_of(g) + n * g.width + c % g.width];
        }
        return sum;
      };
      for (int64_t n = 0; n < g.state; ++n) {
        const int64_t at = c * g.state + n;
        const double A = std::exp(static_cast<double>(A_log[at]));
        dA_log[at] += static_cast<T>(-A * sum_of(n));
      }
      dD[c] += static_cast<T>(sum_of(g.state));
      ddt_bias[c] += static_cast<T>(sum_of(g.state + 1));
    }
  });
}

template <class T>
void backward(core::Context& context, const SelectiveScanBackward& args) {
  const Backward<T> f(args);
  const int64_t items = f.g.batch * f.g.blocks;
  const core::Tensor sums(context, core::DType::kF64, {items, sums_of(f.g)});
  const RowSums<T> dB(context, f.g, args.dB), dC(context, f.g, args.dC);
  core::parallel_items(context, items, [&](int64_t i) {
    double* own = sums.data<double>() + i * sums_of(f.g);
    BackwardItem<T>(context, f, i, dB, dC, own).run();
  });
  dB.add(context, f.g);
  dC.add(context, f.g);
  add_sums<T>(context, f.g, sums.data<double>(), args);
}

/// a (g + dy C) of one state of all channels at one token, in place of g.
template <class T>
[[gnu::flatten]] void retreat_alone(int64_t width, const T* A, const T* delta, const T* dy, T C,
                                    T* gradient) {
#pragma omp simd
  for (int64_t c = 0; c < width; ++c) {
    gradient[c] = core::vector_exp(delta[c] * A[c]) * std::fma(dy[c], C, gradient[c]);
  }
}

template <class T>
void backward_map(core::Context& context, const Backward<T>& f, T* target) {
  const int64_t width = f.g.width;
  core::parallel_items(context, f.g.batch * f.g.blocks, [&](int64_t item) {
    const Block<T> block(f.g, item);
    const core::Scratch<T, BlockArrays<T>> s(context, f.g);
    block.load_parameters(f, s);
    block.load_state(nullptr, s.state);
    for (int64_t c = f.g.chunks - 1; c >= 0; --c) {
      block.load_rows(f.dy, c, s.rows);
      block.load_time_steps(f, c, s.dt_bias, s.delta, s.delta);
      for (int64_t i = f.g.tokens(c) - 1; i >= 0; --i) {
        const T* C = f.C.at(block.b, c * kScanChunk + i);
        for (int64_t n = 0; n < f.g.state; ++n) {
          retreat_alone(width, s.A + n * width, s.delta + i * width, s.rows + i * width, C[n],
                        s.state + n * width);
        }
      }
    }
    block.store_state(s.state, target);
  });
}

}  // namespace
}  // namespace scan

void selective_scan_backward(core::Context& context, const SelectiveScanBackward& args) {
  core::dispatch_float("selective_scan_backward", args.dt.dtype(),
                       [&]<class T>(T) { scan::backward<T>(context, args); });
}

void selective_scan_backward_map(core::Context& context, const SelectiveScanBackward& args,
                                 const core::TensorView& dstate_from_zero) {
  core::dispatch_float("selective_scan_backward_map", args.dt.dtype(), [&]<class T>(T) {
    scan::backward_map(context, scan::Backward<T>(args), dstate_from_zero.data<T>());
  });
}

}  // namespace longhaul::kernels::cpu

namespace longhaul::kernels {

Workspace cpu::selective_scan_backward_workspace(const ScanExtents& e) {
  return core::dispatch_float(
      "selective_scan_backward_workspace", core::state_dtype(e.dtype), [&]<class T>(T) {
        const scan::Geometry g = scan::geometry_of(e);
        using Scratch = core::Scratch<T, scan::BackwardArrays<T>>;
        Workspace workspace = scan::scratch_workspace<Scratch>(g, e.threads, sizeof(T));
        workspace.push_back(g.batch * g.blocks * scan::sums_of(g) * int64_t{sizeof(double)});
        const int64_t parts = g.blocks * g.batch * g.length * g.state * int64_t{sizeof(T)};
        if (g.blocks > 1) workspace.insert(workspace.end(), {parts, parts});  // of dB and of dC
        return workspace;
      });
}

Workspace cpu::selective_scan_backward_map_workspace(const ScanExtents& e) {
  return core::dispatch_float(
      "selective_scan_backward_map_workspace", core::state_dtype(e.dtype), [&]<class T>(T) {
        using Scratch = core::Scratch<T, scan::BlockArrays<T>>;
        return scan::scratch_workspace<Scratch>(scan::geometry_of(e), e.threads, sizeof(T));
      });
}

}  // namespace longhaul::kernels
