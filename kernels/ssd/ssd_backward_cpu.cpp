// The chunked backward pass: one thread walks the chunks of a block of heads from the last to the
// first.
#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_backward_head_cpu.h"

namespace longhaul::kernels::cpu {
namespace ssd {
namespace {

/// Sums over the heads of a group, where several blocks share them: each block writes its own part,
/// [blocks, batch, length, state], and the parts are added in order.
template <class T>
struct GroupGradient {
  explicit GroupGradient(const core::TensorView& view) : target(view) {}
  void allocate_parts(core::Context& context, const Geometry& g, int64_t blocks) {
    if (blocks > g.groups) {
      parts = core::Tensor(context, core::kDTypeOf<T>, {blocks, g.batch, g.length, g.state});
    }
  }
  TokenRows<T> target;
  core::Tensor parts;  ///< absent where every group is one block: blocks then write to the target
};

template <class T>
struct Backward {
  explicit Backward(const SsdBackward& args)
      : g(geometry_of<T>(args.x, args.B, args.chunk)),
        blocks(head_blocks(g)),
        x(args.x),
        dt(args.dt),
        B(args.B),
        C(args.C),
        dy(args.dy),
        dx(args.dx),
        ddt(args.ddt),
        A_log(args.A_log.data<T>()),
        D(optional_data<T>(args.D)),
        chunk_states(optional_data<T>(args.chunk_states)),
        dfinal_state(optional_data<T>(args.dfinal_state)),
        dinitial_state(optional_data<T>(args.dinitial_state)),
        dchunk_states(optional_data<T>(args.dchunk_states)),
        dB(args.dB),
        dC(args.dC),
        sums(static_cast<size_t>(g.batch * g.heads)) {}

  const Geometry g;
  const std::vector<HeadBlock> blocks;
  const TokenRows<T> x, dt, B, C, dy, dx, ddt;
  const T *A_log, *D, *chunk_states, *dfinal_state;
  T *dinitial_state, *dchunk_states;
  GroupGradient<T> dB, dC;
  std::vector<HeadSums> sums;  ///< [batch, heads]
};

/// One block of heads of one sequence.
template <class T>
class BackwardItem {
 public:
  BackwardItem(core::Context& context, Backward<T>& f, int64_t b, int64_t block)
      : f_(f),
        g_(f.g),
        b_(b),
        block_number_(block),
        block_(f.blocks[static_cast<size_t>(block)]),
        scratch_(context, g_, block_.last - block_.first) {
    std::fill_n(scratch_.ones, g_.Q, T(1));
  }

  void whole() {
    load_dfinal();
    for (int64_t c = g_.chunks - 1; c >= 0; --c) {
      chunk(c, {.intra = true, .inter = true});
    }
    store_dinitial();
  }

  void map(T* dstate_from_zero) {
    for_heads([&](int64_t, T* dstate) { std::fill_n(dstate, g_.P * g_.N, T(0)); });
    for (int64_t c = g_.chunks - 1; c >= 0; --c) {
      load_group_tile(f_.C, c, scratch_.group.C);
      for_heads([&](int64_t h, T* dstate) {
        auto head = load_head(c, h);
        head.load_dy_from_start();
        head.for_dentering([&](const auto& tile, int64_t at) __attribute__((always_inline)) {
          tile.store(scratch_.state + at, g_.N);
          tile.add_to_scaled(dstate + at, g_.N, scratch_.decays.total);
        });
        store_tile(scratch_.state, g_.N, g_.head_dim, g_.state,
                   f_.dchunk_states + g_.chunk_state_at(b_, c, h), g_.state);
      });
    }
    for_heads([&](int64_t h, T* dstate) {
      store_tile(dstate, g_.N, g_.head_dim, g_.state, dstate_from_zero + g_.state_at(b_, h),
                 g_.state);
    });
  }

  void intra() {
    for (int64_t c = 0; c < g_.chunks; ++c) chunk(c, {.intra = true, .inter = false});
  }

  void inter() {
    load_dfinal();
    for (int64_t c = g_.chunks - 1; c >= 0; --c) chunk(c, {.intra = false, .inter = true});
    store_dinitial();
  }

 private:
  template <class Body>
  void for_heads(const Body& body) {
    T* dstate = scratch_.dstates;
    for (int64_t h = block_.first; h < block_.last; ++h, dstate += g_.P * g_.N) body(h, dstate);
  }
  void load_dfinal() {
    for_heads([&](int64_t h, T* dstate) {
      if (f_.dfinal_state == nullptr) {
        std::fill_n(dstate, g_.P * g_.N, T(0));
      } else {
        load_tile(f_.dfinal_state + g_.state_at(b_, h), g_.state, g_.head_dim, g_.state, dstate,
                  g_.N);
      }
    });
  }
  void store_dinitial() {
    if (!f_.dinitial_state) return;
    for_heads([&](int64_t h, T* dstate) {
      store_tile(dstate, g_.N, g_.head_dim, g_.state, f_.dinitial_state + g_.state_at(b_, h),
                 g_.state);
    });
  }
  void load_group_tile(const TokenRows<T>& rows, int64_t c, T* tile) {
    load_tile(rows.at(b_, c * g_.chunk) + block_.group * g_.state, rows.token_stride, g_.tokens(c),
              g_.state, tile, g_.N);
  }
  void load_head_tile(const TokenRows<T>& rows, int64_t c, int64_t h, T* tile) {
    load_tile(rows.at(b_, c * g_.chunk) + h * g_.head_dim, rows.token_stride, g_.tokens(c),
              g_.head_dim, tile, g_.P);
  }

  BackwardHead<T> load_head(int64_t c, int64_t h) {
    const int64_t tokens = g_.tokens(c);
    scratch_.decays.load(f_.dt.at(b_, c * g_.chunk) + h, f_.dt.token_stride,
                         decay_rate(f_.A_log[h]), tokens);
    load_head_tile(f_.x, c, h, scratch_.x);
    load_head_tile(f_.dy, c, h, scratch_.dy);
    return {.g = g_, .s = scratch_, .tokens = tokens};
  }

  /// In place where no padding is needed.
  const T* load_entering(int64_t c, int64_t h) {
    const T* kept = f_.chunk_states + g_.chunk_state_at(b_, c, h);
    if (g_.P == g_.head_dim && g_.N == g_.state) return kept;
    load_tile(kept, g_.state, g_.head_dim, g_.state, scratch_.state, g_.N);
    return scratch_.state;
  }

  void chunk(int64_t c, Terms terms) {
    const int64_t rows = padded<T>(g_.tokens(c));
    load_group_tile(f_.B, c, scratch_.group.B);
    if (terms.intra) {
      load_group_tile(f_.C, c, scratch_.group.C);
      scratch_.group.load_gram(g_, rows);
      std::fill_n(scratch_.dgram, rows * g_.Q, T(0));
      std::fill_n(scratch_.dC, rows * g_.N, T(0));
    }
    std::fill_n(scratch_.dB, rows * g_.N, T(0));
    for_heads([&](int64_t h, T* dstate) { head(c, h, dstate, terms); });
    if (terms.intra) finish_group(c);
    store_group(f_.dB, scratch_.dB, c, !terms.intra);
    if (terms.intra) store_group(f_.dC, scratch_.dC, c, false);
  }

  void head(int64_t c, int64_t h, T* dleaving, Terms terms) {
    BackwardHead<T> head = load_head(c, h);
    HeadSums& sums = f_.sums[static_cast<size_t>(b_ * g_.heads + h)];
    head.entering = load_entering(c, h);
    if (terms.intra) {
      sums.dy_x += head.load_pairs();
      head.apply_decays(f_.D ? f_.D[h] : T(0));
      head.sum_pairs();
      head.load_dy_from_start();
      head.through_entering_state();
    }
    const Terms present{.intra = terms.intra,
                        .inter = terms.inter && !is_zero(dleaving, g_.P * g_.N)};
    const double through = present.inter ? head.through_leaving_state(dleaving) : 0;
    head.store_dx(present, f_.dx.at(b_, c * g_.chunk) + h * g_.head_dim, f_.dx.token_stride);
    sums.dt_dlog_decay += head.store_ddt(present, decay_rate(f_.A_log[h]), through,
                                         f_.ddt.at(b_, c * g_.chunk) + h, f_.ddt.token_stride);
    if (!terms.inter || (c == 0 && !f_.dinitial_state)) return;
    const T total = scratch_.decays.total;
    if (terms.intra) {
      head.for_dentering([&](const auto& tile, int64_t at) __attribute__((always_inline)) {
        tile.add_to_scaled(dleaving + at, g_.N, total);
      });
    } else {
      const T* own = f_.dchunk_states + g_.chunk_state_at(b_, c, h);
      load_tile(own, g_.state, g_.head_dim, g_.state, scratch_.state, g_.N);
      for (int64_t i = 0; i < g_.P * g_.N; ++i)
        dleaving[i] = total * dleaving[i] + scratch_.state[i];
    }
  }

  /// dB += dΓᵀ C, dC += dΓ B.
  void finish_group(int64_t c) {
    const int64_t tokens = g_.tokens(c), Q = g_.Q, N = g_.N;
    auto& s = scratch_;
    for_tiles<T>(
        padded<T>(tokens), N, [&](auto& tile, int64_t i, int64_t j) __attribute__((always_inline)) {
          tile.add_transposed(tokens - i, s.dgram + i * Q + i, Q, s.group.C + i * N + j, N);
          tile.add_to(s.dB + i * N + j, N);
          tile.clear();
          tile.add(std::min(i + kTileRows, tokens), s.dgram + i * Q, Q, s.group.B + j, N);
          tile.add_to(s.dC + i * N + j, N);
        });
  }

  void store_group(const GroupGradient<T>& gradient, const T* tile, int64_t c, bool add) {
    const int64_t first = c * g_.chunk, tokens = g_.tokens(c);
    T* to = gradient.target.at(b_, first) + block_.group * g_.state;
    int64_t stride = gradient.target.token_stride;
    if (gradient.parts) {
      to = gradient.parts.template data<T>() +
           ((block_number_ * g_.batch + b_) * g_.length + first) * g_.state;
      stride = g_.state;
      add = false;
    }
    if (!add) return store_tile(tile, g_.N, tokens, g_.state, to, stride);
    for (int64_t i = 0; i < tokens; ++i) {
      for (int64_t n = 0; n < g_.state; ++n) to[i * stride + n] += tile[i * g_.N + n];
    }
  }

  Backward<T>& f_;
  const Geometry& g_;
  const int64_t b_, block_number_;
  const HeadBlock block_;
  Scratch<T, BackwardArrays<T>> scratch_;
};

/// The parts of the blocks of each group, added in order.
template <class T>
void add_parts(core::Context& context, const Backward<T>& f, const GroupGradient<T>& gradient,
               bool add) {
  if (!gradient.parts) return;
  const Geometry& g = f.g;
  const T* parts = gradient.parts.template data<T>();
  core::parallel_ranges(context, g.batch * g.length, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      T* target = gradient.target.at(row / g.length, row % g.length);
      int64_t previous = -1;
      for (size_t k = 0; k < f.blocks.size(); ++k) {
        T* to = target + f.blocks[k].group * g.state;
        const T* part = parts + (static_cast<int64_t>(k) * g.batch * g.length + row) * g.state;
        const bool first = f.blocks[k].group != previous && !add;
        previous = f.blocks[k].group;
        for (int64_t n = 0; n < g.state; ++n) to[n] = first ? part[n] : to[n] + part[n];
      }
    }
  });
}

/// body(item) for every sequence and block of heads, then the sums over blocks and sequences.
template <class T, class Body>
void for_blocks(core::Context& context, Backward<T>& f, const Body& body) {
  const auto count = static_cast<int64_t>(f.blocks.size());
  core::parallel_items(context, f.g.batch * count, [&](int64_t i) {
    BackwardItem<T> item(context, f, i / count, i % count);
    body(item);
  });
}

template <class T>
void add_head_sums(const Backward<T>& f, const SsdBackward& args) {
  T* dA_log = args.dA_log.data<T>();
  T* dD = optional_data<T>(args.dD);
  for (int64_t h = 0; h < f.g.heads; ++h) {
    HeadSums sum;
    for (int64_t b = 0; b < f.g.batch; ++b) {
      const HeadSums& one = f.sums[static_cast<size_t>(b * f.g.heads + h)];
      sum.dt_dlog_decay += one.dt_dlog_decay;
      sum.dy_x += one.dy_x;
    }
    dA_log[h] += static_cast<T>(static_cast<double>(decay_rate(f.A_log[h])) * sum.dt_dlog_decay);
    if (dD) dD[h] += static_cast<T>(sum.dy_x);
  }
}

/// Runs one stage of the backward pass that writes gradients.
template <class Stage>
void run(core::Context& context, const SsdBackward& args, Terms terms, const Stage& stage) {
  core::dispatch_float("ssd_backward", args.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Backward<T> f(args);
    const auto blocks = static_cast<int64_t>(f.blocks.size());
    f.dB.allocate_parts(context, f.g, blocks);
    if (terms.intra) f.dC.allocate_parts(context, f.g, blocks);
    for_blocks(context, f, stage);
    add_parts(context, f, f.dB, !terms.intra);
    if (terms.intra) add_parts(context, f, f.dC, false);
    add_head_sums(f, args);
  });
}

}  // namespace
}  // namespace ssd

void ssd_backward(core::Context& context, const SsdBackward& args) {
  ssd::run(context, args, {.intra = true, .inter = true}, [](auto& item) { item.whole(); });
}

void ssd_backward_map(core::Context& context, const SsdBackward& args,
                      const core::TensorView& dstate_from_zero) {
  core::dispatch_float("ssd_backward_map", args.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    ssd::Backward<T> f(args);
    T* target = dstate_from_zero.data<T>();
    ssd::for_blocks(context, f, [&](auto& item) { item.map(target); });
  });
}

void ssd_backward_intra(core::Context& context, const SsdBackward& args) {
  ssd::run(context, args, {.intra = true, .inter = false}, [](auto& item) { item.intra(); });
}

void ssd_backward_inter(core::Context& context, const SsdBackward& args) {
  ssd::run(context, args, {.intra = false, .inter = true}, [](auto& item) { item.inter(); });
}

}  // namespace longhaul::kernels::cpu

namespace longhaul::kernels {

Workspace cpu::ssd_backward_workspace(const SsdExtents& extents) {
  return core::dispatch_float(
      "ssd_backward_workspace", core::state_dtype(extents.dtype), [&](auto zero) {
        using T = decltype(zero);
        const auto g = cpu::ssd::geometry_of<T>(extents);
        using Scratch = cpu::ssd::Scratch<T, cpu::ssd::BackwardArrays<T>>;
        Workspace workspace = cpu::ssd::scratch_workspace<Scratch>(g, extents.threads, sizeof(T));
        const auto blocks = static_cast<int64_t>(cpu::ssd::head_blocks(g).size());
        const int64_t parts = blocks * g.batch * g.length * g.state * int64_t{sizeof(T)};
        if (blocks > g.groups)
          workspace.insert(workspace.end(), {parts, parts});  // of dB and of dC
        return workspace;
      });
}

}  // namespace longhaul::kernels
