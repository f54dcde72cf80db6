// The chunked forward pass. One thread walks the chunks of a block of heads with their states in
// cache.
#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_chunk_cpu.h"

namespace longhaul::kernels::cpu {
namespace ssd {

std::vector<HeadBlock> head_blocks(const Geometry& g) {
  // Few, so that the Gram matrix is shared by many heads; many, so that threads find work.
  const int64_t largest = g.batch * g.heads >= 64 ? 8 : 4;
  std::vector<HeadBlock> blocks;
  for (int64_t first = 0; first < g.heads;) {
    const int64_t group = first * g.groups / g.heads;
    int64_t last = first;
    while (last < g.heads && last * g.groups / g.heads == group) ++last;
    const int64_t count = last - first, parts = (count + largest - 1) / largest;
    for (int64_t k = 0; k < parts; ++k) {
      blocks.push_back({group, first + count * k / parts, first + count * (k + 1) / parts});
    }
    first = last;
  }
  return blocks;
}

namespace {

template <class T>
struct ForwardArrays {
  GroupTiles<T> group;
  Decays<T> decays;
  T *x, *x_to_end;      ///< [Q, P]
  T* weights;           ///< [Q, Q]
  T* state_transposed;  ///< [N, P]
  T* states;            ///< [heads of the block, P, N]

  template <class F>
  void each(const Geometry& g, int64_t heads, const F& f) {
    group.each(g, f);
    decays.each(g, f);
    f(x, g.Q * g.P);
    f(x_to_end, g.Q * g.P);
    f(weights, g.Q * g.Q);
    f(state_transposed, g.N * g.P);
    f(states, heads * g.P * g.N);
  }
};

template <class T>
struct Forward {
  explicit Forward(const SsdForward& args)
      : g(geometry_of<T>(args.x, args.B, args.chunk)),
        x(args.x),
        dt(args.dt),
        B(args.B),
        C(args.C),
        y(args.y),
        A_log(args.A_log.data<T>()),
        D(optional_data<T>(args.D)),
        initial_state(optional_data<T>(args.initial_state)),
        final_state(optional_data<T>(args.final_state)),
        chunk_states(optional_data<T>(args.chunk_states)),
        log_decay(optional_data<T>(args.log_decay)) {}

  const Geometry g;
  const TokenRows<T> x, dt, B, C, y;
  const T *A_log, *D, *initial_state;
  T *final_state, *chunk_states, *log_decay;
};

/// One block of heads of one sequence.
template <class T>
class ForwardItem {
 public:
  ForwardItem(core::Context& context, const Forward<T>& f, int64_t b, HeadBlock block)
      : f_(f),
        g_(f.g),
        b_(b),
        block_(block),
        log_decays_(static_cast<size_t>(block.last - block.first)),
        scratch_(context, g_, block.last - block.first) {}

  void whole() {
    for_heads([&](int64_t h, T* state) { load_state(f_.initial_state, h, state); });
    for (int64_t c = 0; c < g_.chunks; ++c) {
      load_group(c, true, true);
      for_heads([&](int64_t h, T* state) {
        load_head(c, h);
        if (f_.log_decay) add_log_decay(c, h);
        if (f_.chunk_states) save(state, f_.chunk_states + g_.chunk_state_at(b_, c, h));
        output(c, h, is_zero(state, g_.P * g_.N) ? nullptr : state, true);
        if (c + 1 == g_.chunks && !f_.final_state) return;
        for_contribution(
            c, [&](const auto& tile, int64_t at) __attribute__((always_inline)) {
              tile.add_to_scaled(state + at, g_.N, scratch_.decays.total);
            });
      });
    }
    store_final();
    if (f_.log_decay) store_log_decay(f_.log_decay);
  }

  void map(T* log_decay, T* state_from_zero) {
    for_heads([&](int64_t, T* state) { std::fill_n(state, g_.P * g_.N, T(0)); });
    for (int64_t c = 0; c < g_.chunks; ++c) {
      load_group(c, true, false);
      for_heads([&](int64_t h, T* state) {
        load_head(c, h);
        add_log_decay(c, h);
        T* own = scratch_.state_transposed;  // as large, and not in use here
        for_contribution(
            c, [&](const auto& tile, int64_t at) __attribute__((always_inline)) {
              tile.store(own + at, g_.N);
              tile.add_to_scaled(state + at, g_.N, scratch_.decays.total);
            });
        save(own, f_.chunk_states + g_.chunk_state_at(b_, c, h));
      });
    }
    for_heads([&](int64_t h, T* state) { save(state, state_from_zero + g_.state_at(b_, h)); });
    store_log_decay(log_decay);
  }

  void intra(int64_t c) {
    load_group(c, true, true);
    for_heads([&](int64_t h, T*) {
      load_head(c, h);
      output(c, h, nullptr, true);
    });
  }

  void inter() {
    for_heads([&](int64_t h, T* state) { load_state(f_.initial_state, h, state); });
    for (int64_t c = 0; c < g_.chunks; ++c) {
      load_group(c, false, true);
      for_heads([&](int64_t h, T* state) {
        load_head(c, h);
        output(c, h, state, false);
        T* kept = f_.chunk_states + g_.chunk_state_at(b_, c, h);
        T* own = scratch_.state_transposed;
        load_tile(kept, g_.state, g_.head_dim, g_.state, own, g_.N);
        save(state, kept);
        for (int64_t i = 0; i < g_.head_dim * g_.N; ++i)
          state[i] = scratch_.decays.total * state[i] + own[i];
      });
    }
    store_final();
  }

 private:
  template <class Body>
  void for_heads(const Body& body) {
    T* state = scratch_.states;
    for (int64_t h = block_.first; h < block_.last; ++h, state += g_.P * g_.N) body(h, state);
  }

  void load_state(const T* from, int64_t h, T* state) {
    if (from == nullptr) {
      std::fill_n(state, g_.P * g_.N, T(0));
    } else {
      load_tile(from + g_.state_at(b_, h), g_.state, g_.head_dim, g_.state, state, g_.N);
    }
  }
  void save(const T* state, T* to) { store_tile(state, g_.N, g_.head_dim, g_.state, to, g_.state); }
  void store_final() {
    if (!f_.final_state) return;
    for_heads([&](int64_t h, T* state) { save(state, f_.final_state + g_.state_at(b_, h)); });
  }

  void add_log_decay(int64_t c, int64_t h) {
    double& sum = log_decays_[static_cast<size_t>(h - block_.first)];
    const double A = decay_rate(f_.A_log[h]);
    for (int64_t i = 0; i < g_.tokens(c); ++i)
      sum += static_cast<double>(scratch_.decays.dt[i]) * A;
  }
  void store_log_decay(T* log_decay) const {
    constexpr double kLowest = std::numeric_limits<T>::lowest();
    for (int64_t h = block_.first; h < block_.last; ++h) {
      log_decay[b_ * g_.heads + h] =
          static_cast<T>(std::max(log_decays_[static_cast<size_t>(h - block_.first)], kLowest));
    }
  }

  void load_group(int64_t c, bool with_B, bool with_C) {
    const int64_t first = c * g_.chunk, tokens = g_.tokens(c), offset = block_.group * g_.state;
    auto& group = scratch_.group;
    if (with_B)
      load_tile(f_.B.at(b_, first) + offset, f_.B.token_stride, tokens, g_.state, group.B, g_.N);
    if (with_C)
      load_tile(f_.C.at(b_, first) + offset, f_.C.token_stride, tokens, g_.state, group.C, g_.N);
    if (with_B && with_C) group.load_gram(g_, padded<T>(tokens));
  }

  void load_head(int64_t c, int64_t h) {
    const int64_t first = c * g_.chunk, tokens = g_.tokens(c);
    scratch_.decays.load(f_.dt.at(b_, first) + h, f_.dt.token_stride, decay_rate(f_.A_log[h]),
                         tokens);
    load_tile(f_.x.at(b_, first) + h * g_.head_dim, f_.x.token_stride, tokens, g_.head_dim,
              scratch_.x, g_.P);
  }

  /// weights_ij = Γ_ij dt_j Π e^ℓ, with D on the diagonal.
  void load_weights(int64_t rows, T D) {
    for_decays(
        scratch_.decays, scratch_.decays.dt,
        rows, [&](int64_t i, int64_t j, Vector<T> m) __attribute__((always_inline)) {
          const int64_t at = i * g_.Q + j;
          store<T>(scratch_.weights + at, m * load(scratch_.group.gram + at));
        });
    for (int64_t i = 0; i < rows; ++i) scratch_.weights[i * g_.Q + i] += D;
  }

  /// y = [S C, if there is a state] + [weights x, if `intra`]; without `intra` it is added to y.
  void output(int64_t c, int64_t h, const T* state, bool intra) {
    const int64_t tokens = g_.tokens(c), rows = padded<T>(tokens);
    const auto& s = scratch_;
    if (intra) load_weights(rows, f_.D ? f_.D[h] : T(0));
    if (state) transpose(g_.P, g_.N, state, g_.N, s.state_transposed, g_.P);
    T* y = f_.y.at(b_, c * g_.chunk) + h * g_.head_dim;
    for_tiles<T>(
        rows, g_.P, [&](auto& tile, int64_t i, int64_t j) __attribute__((always_inline)) {
          if (state) {
            tile.add(g_.state, s.group.C + i * g_.N, g_.N, s.state_transposed + j, g_.P);
            tile.scale(s.decays.from_start + i);
          }
          T* at = y + i * f_.y.token_stride + j;
          if (intra) {
            tile.add(std::min(i + kTileRows, tokens), s.weights + i * g_.Q, g_.Q, s.x + j, g_.P);
            tile.store_part(at, f_.y.token_stride, tokens - i, g_.head_dim - j);
          } else {
            tile.add_part(at, f_.y.token_stride, tokens - i, g_.head_dim - j);
          }
        });
  }

  /// take(tile, offset) for the tiles of Σ_i to_end_i dt_i x_i B_iᵀ [P, N].
  template <class Take>
  void for_contribution(int64_t c, const Take& take) {
    const int64_t tokens = g_.tokens(c);
    auto& s = scratch_;
    auto& d = s.decays;
    for (int64_t i = 0; i < padded<T>(tokens); ++i) d.column[i] = d.to_end[i] * d.dt[i];
    scale_rows(s.x, d.column, tokens, g_.P, s.x_to_end);
    for_tiles<T>(
        g_.P, g_.N, [&](auto& tile, int64_t i, int64_t j) __attribute__((always_inline)) {
          tile.add_transposed(tokens, s.x_to_end + i, g_.P, s.group.B + j, g_.N);
          take(tile, i * g_.N + j);
        });
  }

  const Forward<T>& f_;
  const Geometry& g_;
  const int64_t b_;
  const HeadBlock block_;
  std::vector<double> log_decays_;  // of the heads, so far
  Scratch<T, ForwardArrays<T>> scratch_;
};

/// body(item) for every sequence and block of heads.
template <class T, class Body>
void for_blocks(core::Context& context, const Forward<T>& f, const Body& body) {
  const auto blocks = head_blocks(f.g);
  const auto count = static_cast<int64_t>(blocks.size());
  core::parallel_items(context, f.g.batch * count, [&](int64_t i) {
    ForwardItem<T> item(context, f, i / count, blocks[static_cast<size_t>(i % count)]);
    body(item);
  });
}

}  // namespace
}  // namespace ssd

void ssd_forward(core::Context& context, const SsdForward& args) {
  core::dispatch_float("ssd_forward", args.x.dtype(), [&](auto zero) {
    const ssd::Forward<decltype(zero)> f(args);
    ssd::for_blocks(context, f, [](auto& item) { item.whole(); });
  });
}

void ssd_forward_map(core::Context& context, const SsdForward& args, const SsdMap& map) {
  core::dispatch_float("ssd_forward_map", args.x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const ssd::Forward<T> f(args);
    T* log_decay = map.log_decay.data<T>();
    T* state_from_zero = map.state_from_zero.data<T>();
    ssd::for_blocks(context, f, [&](auto& item) { item.map(log_decay, state_from_zero); });
  });
}

void ssd_forward_intra(core::Context& context, const SsdForward& args) {
  core::dispatch_float("ssd_forward_intra", args.x.dtype(), [&](auto zero) {
    const ssd::Forward<decltype(zero)> f(args);
    ssd::for_blocks(context, f, [&](auto& item) {
      for (int64_t c = 0; c < f.g.chunks; ++c) item.intra(c);
    });
  });
}

void ssd_forward_inter(core::Context& context, const SsdForward& args) {
  core::dispatch_float("ssd_forward_inter", args.x.dtype(), [&](auto zero) {
    const ssd::Forward<decltype(zero)> f(args);
    ssd::for_blocks(context, f, [](auto& item) { item.inter(); });
  });
}

}  // namespace longhaul::kernels::cpu

namespace longhaul::kernels {

Workspace cpu::ssd_forward_workspace(const SsdExtents& extents) {
  return core::dispatch_float(
      "ssd_forward_workspace", core::state_dtype(extents.dtype), [&](auto zero) {
        using T = decltype(zero);
        const auto g = cpu::ssd::geometry_of<T>(extents);
        using Scratch = cpu::ssd::Scratch<T, cpu::ssd::ForwardArrays<T>>;
        Workspace workspace = cpu::ssd::scratch_workspace<Scratch>(g, extents.threads, sizeof(T));
        return workspace;
      });
}

}  // namespace longhaul::kernels
