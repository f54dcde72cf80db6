#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "dist/state_exchange.h"
#include "kernels/core/cuda_arithmetic.h"

namespace longhaul::dist {

namespace {

using core::Tensor;
using core::TensorView;

struct HaloSetting {
  core::Context& context;
  Communicator& group;
  const std::vector<int64_t>& lengths;
  int64_t width = 0;  ///< K − 1

  int64_t length(int rank) const { return lengths[static_cast<size_t>(rank)]; }
  int64_t begin_of(int rank) const {
    int64_t begin = 0;
    for (int r = 0; r < rank; ++r) begin += length(r);
    return begin;
  }
  /// Every halo comes from one neighbour. The last rank's own rows are nobody's halo.
  bool neighbours_suffice() const {
    return std::all_of(lengths.begin(), lengths.end() - 1,
                       [&](int64_t each) { return each >= width; });
  }
};

/// Halos have the dtype of the rows or that of states.
bool is_kept_as(core::DType rows, core::DType halo) {
  return halo == rows || halo == core::state_dtype(rows);
}

/// The last `width` rows of `before` (absent: zeros) followed by `rows`, into `target`.
void last_rows(core::Context& context, const TensorView& before, const TensorView& rows,
               const TensorView& target) {
  const int64_t width = target.extent(1);
  const int64_t own = std::min(width, rows.extent(1));
  core::copy(context, rows.slice(1, rows.extent(1) - own, rows.extent(1)),
             target.slice(1, width - own, width));
  if (own == width) return;
  const TensorView old = target.slice(1, 0, width - own);
  if (before) {
    core::copy(context, before.slice(1, own, width), old);
  } else {
    core::copy(context, Tensor::zeros(context, target.dtype(), old.shape()), old);
  }
}

template <class T>
void add_row(const TensorView& source, const TensorView& target) {
  for (int64_t c = 0; c < target.extent(0); ++c) {
    T& value = target.data<T>()[c * target.stride(0)];
    const T addend = source.data<T>()[c * source.stride(0)];
    if constexpr (std::is_same_v<T, core::BFloat16>) {
      value = T(static_cast<float>(value) + static_cast<float>(addend));
    } else {
      value += addend;
    }
  }
}

/// target [batch, rows, channels] += source, both with free strides.
void add_rows(core::Context& context, const TensorView& source, const TensorView& target) {
  if (!target.device().is_cpu()) return core::cuda_accumulate(context, source, target);
  for (int64_t b = 0; b < target.extent(0); ++b) {
    for (int64_t t = 0; t < target.extent(1); ++t) {
      const TensorView from = source.select(0, b).select(0, t),
                       to = target.select(0, b).select(0, t);
      switch (target.dtype()) {
        case core::DType::kF32:
          add_row<float>(from, to);
          break;
        case core::DType::kF64:
          add_row<double>(from, to);
          break;
        case core::DType::kBF16:
          add_row<core::BFloat16>(from, to);
          break;
        default:
          LOG(FATAL) << "gradients of " << core::name_of(target.dtype());
      }
    }
  }
}

class NeighbourForward final : public StateExchange::Run {
 public:
  NeighbourForward(const HaloSetting& setting, const TensorView& rows, const TensorView& boundary,
                   const TensorView& halo) {
    const int rank = setting.group.rank();
    std::vector<Transfer> sends, receives;
    if (rank > 0) {
      receives.push_back({halo, rank - 1});
    } else if (boundary) {
      core::copy(setting.context, boundary, halo);
    } else {
      core::set_zero(setting.context, halo);
    }
    if (rank + 1 < setting.group.size()) {
      outgoing_ = Tensor(setting.context, halo.dtype(), halo.shape());
      last_rows(setting.context, {}, rows, outgoing_);
      sends.push_back({outgoing_, rank + 1});
    }
    under_way_ = setting.group.start_transfers(sends, receives);
  }
  void finish() override { under_way_->wait(); }

 private:
  Tensor outgoing_;
  std::unique_ptr<Pending> under_way_;
};

/// Some segment is shorter than the halo: everybody receives everybody's last rows.
class GatherForward final : public StateExchange::Run {
 public:
  GatherForward(const HaloSetting& setting, const TensorView& rows, const TensorView& boundary,
                const TensorView& halo)
      : setting_(setting),
        halo_(halo),
        own_(setting.context, halo.dtype(), halo.shape()),
        all_(setting.context, halo.dtype(), halo.shape().with_front(setting.group.size())) {
    const bool is_first = setting_.group.rank() == 0;
    last_rows(setting_.context, is_first ? boundary : TensorView(), rows, own_);
    if (is_first && boundary) core::copy(setting_.context, boundary, halo);
    if (is_first && !boundary) core::set_zero(setting_.context, halo);
    pending_ = setting_.group.start_all_gather(own_, all_);
  }

  void finish() override {
    pending_->wait();
    // Backwards from the segment's beginning; the first rank's rows were filled up from the
    // boundary.
    int64_t missing = setting_.group.rank() == 0 ? 0 : setting_.width;
    for (int r = setting_.group.rank() - 1; r >= 0 && missing > 0; --r) {
      const int64_t take = std::min(missing, r == 0 ? setting_.width : setting_.length(r));
      core::copy(setting_.context,
                 all_.view().select(0, r).slice(1, setting_.width - take, setting_.width),
                 halo_.slice(1, missing - take, missing));
      missing -= take;
    }
  }

 private:
  HaloSetting setting_;
  TensorView halo_;
  Tensor own_, all_;
  std::unique_ptr<Pending> pending_;
};

class NeighbourBackward final : public StateExchange::Run {
 public:
  NeighbourBackward(const HaloSetting& setting, const TensorView& dhalo, const TensorView& drows,
                    const TensorView& dboundary)
      : context_(setting.context), drows_(drows), width_(setting.width) {
    const int rank = setting.group.rank();
    std::vector<Transfer> sends, receives;
    if (rank + 1 < setting.group.size()) {
      arriving_ = Tensor(setting.context, dhalo.dtype(), dhalo.shape());
      receives.push_back({arriving_, rank + 1});
    }
    if (rank > 0) sends.push_back({dhalo, rank - 1});
    under_way_ = setting.group.start_transfers(sends, receives);
    if (dboundary) {
      if (rank == 0) core::copy(setting.context, dhalo, dboundary);
      broadcasting_ = setting.group.start_broadcast(dboundary, 0);
    }
  }

  void finish() override {
    under_way_->wait();
    if (arriving_) {
      add_rows(context_, arriving_, drows_.slice(1, drows_.extent(1) - width_, drows_.extent(1)));
    }
    if (broadcasting_) broadcasting_->wait();
  }

 private:
  core::Context& context_;
  TensorView drows_;
  int64_t width_;
  Tensor arriving_;
  std::unique_ptr<Pending> under_way_, broadcasting_;
};

class GatherBackward final : public StateExchange::Run {
 public:
  GatherBackward(const HaloSetting& setting, const TensorView& dhalo, const TensorView& drows,
                 const TensorView& dboundary)
      : setting_(setting),
        drows_(drows),
        dboundary_(dboundary),
        all_(setting.context, dhalo.dtype(), dhalo.shape().with_front(setting.group.size())) {
    pending_ = setting_.group.start_all_gather(dhalo, all_);
  }

  void finish() override {
    pending_->wait();
    if (dboundary_) core::set_zero(setting_.context, dboundary_);
    const int64_t own_begin = setting_.begin_of(setting_.group.rank());
    for (int r = 0; r < setting_.group.size(); ++r) {
      // Row j of r's halo is token first + j; tokens before 0 are the boundary's last rows.
      const int64_t first = setting_.begin_of(r) - setting_.width;
      add_overlap(r, first, drows_, own_begin);
      if (dboundary_) add_overlap(r, first, dboundary_, -setting_.width);
    }
  }

 private:
  /// target's row 0 is token target_begin.
  void add_overlap(int rank, int64_t first, const TensorView& target, int64_t target_begin) {
    const int64_t begin = std::max(first, target_begin);
    const int64_t end = std::min(first + setting_.width, target_begin + target.extent(1));
    if (begin >= end) return;
    add_rows(setting_.context, all_.view().select(0, rank).slice(1, begin - first, end - first),
             target.slice(1, begin - target_begin, end - target_begin));
  }

  HaloSetting setting_;
  TensorView drows_, dboundary_;
  Tensor all_;
  std::unique_ptr<Pending> pending_;
};

class NoHalo final : public StateExchange::Run {
 public:
  void finish() override {}
};

}  // namespace

HaloExchange::HaloExchange(core::Context& context, Communicator& group,
                           std::vector<int64_t> lengths)
    : context_(context), group_(group), lengths_(std::move(lengths)) {
  CHECK_EQ(static_cast<int>(lengths_.size()), group.size());
}

std::unique_ptr<StateExchange::Run> HaloExchange::start_forward(TensorView rows,
                                                                TensorView boundary,
                                                                TensorView halo) {
  CHECK(halo.rank() == 3 && rows.rank() == 3 && halo.is_contiguous());
  CHECK(rows.extent(0) == halo.extent(0) && rows.extent(2) == halo.extent(2) &&
        is_kept_as(rows.dtype(), halo.dtype()));
  CHECK(!boundary || (boundary.shape() == halo.shape() && boundary.dtype() == halo.dtype()));
  const HaloSetting setting{context_, group_, lengths_, halo.extent(1)};
  CHECK_EQ(rows.extent(1), setting.length(group_.rank()));
  if (setting.width == 0) return std::make_unique<NoHalo>();
  if (setting.neighbours_suffice())
    return std::make_unique<NeighbourForward>(setting, rows, boundary, halo);
  return std::make_unique<GatherForward>(setting, rows, boundary, halo);
}

std::unique_ptr<StateExchange::Run> HaloExchange::start_backward(TensorView dhalo, TensorView drows,
                                                                 TensorView dboundary) {
  CHECK(dhalo.rank() == 3 && drows.rank() == 3 && dhalo.is_contiguous());
  CHECK(drows.extent(0) == dhalo.extent(0) && drows.extent(2) == dhalo.extent(2) &&
        is_kept_as(drows.dtype(), dhalo.dtype()));
  CHECK(!dboundary || (dboundary.is_contiguous() && dboundary.shape() == dhalo.shape() &&
                       dboundary.dtype() == dhalo.dtype()));
  const HaloSetting setting{context_, group_, lengths_, dhalo.extent(1)};
  CHECK_EQ(drows.extent(1), setting.length(group_.rank()));
  if (setting.width == 0) return std::make_unique<NoHalo>();
  if (setting.neighbours_suffice())
    return std::make_unique<NeighbourBackward>(setting, dhalo, drows, dboundary);
  return std::make_unique<GatherBackward>(setting, dhalo, drows, dboundary);
}

}  // namespace longhaul::dist
