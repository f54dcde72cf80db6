#include "dist/message_communicator.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "dist/doubling.h"
#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

using core::TensorView;

constexpr int kTags = 32768;  // 0 to 32,767 is what MPI guarantees

/// `ranks`: what a rank alone has anywhere stays as it is.
void check_view(const TensorView& view, int ranks = 2) {
  CHECK(view.is_contiguous()) << "communication needs contiguous memory";
  CHECK(view.device().is_cpu() || ranks == 1)
      << "host communicator, memory on " << name_of(view.device());
}

char* bytes_of(const TensorView& view) { return static_cast<char*>(view.raw()); }

/// Elements [begin, end) that rank r of `ranks` reduces; boundaries on whole cache lines of 4-byte
/// elements.
struct Share {
  int64_t begin = 0, end = 0;
};
Share share_of(int64_t elements, int ranks, int r) {
  const int64_t each = (elements + ranks - 1) / ranks;
  const int64_t step = (each + 15) / 16 * 16;
  return {std::min(elements, r * step), std::min(elements, (r + 1) * step)};
}

/// The ranks other than `rank`, nearest first upwards: no two ranks begin with the same peer.
template <class Body>
void for_each_peer(int rank, int ranks, const Body& body) {
  for (int i = 1; i < ranks; ++i) body((rank + i) % ranks);
}

/// Contributions in rank order: own where it lies, the others in scratch (rank r at r · stride).
std::vector<const void*> contributions(int rank, int ranks, const char* own, const char* scratch,
                                       int64_t stride) {
  std::vector<const void*> sources;
  for (int r = 0; r < ranks; ++r) sources.push_back(r == rank ? own : scratch + r * stride);
  return sources;
}

}  // namespace

std::unique_ptr<Pending> MessageCommunicator::start_collective(const char* name, int64_t bytes,
                                                               Stages stages) {
  const auto tag = static_cast<size_t>(collectives_++) % tag_in_use_.size();
  // Or a later stage of the old one would meet the first messages of the new.
  CHECK(!tag_in_use_[tag]) << name << " of " << bytes << " bytes: " << tag_in_use_.size()
                           << " collectives are under way already";
  tag_in_use_[tag] = true;
  stages.push_back([this, tag](StagedOperation&) { tag_in_use_[tag] = false; });
  return std::make_unique<StagedOperation>(
      *transport_, core::message(name, " of ", bytes, " bytes"), Channel::kCollective,
      static_cast<int>(tag), std::move(stages));
}

std::unique_ptr<Pending> MessageCommunicator::start_broadcast(TensorView view, int root) {
  check_view(view, size());
  CHECK(root >= 0 && root < size());
  if (goes_in_shares(size(), view.bytes())) return start_broadcast_in_shares(view, root);
  // Binomial tree over ranks relative to the root: a rank's parent is itself without its highest
  // set bit.
  const int relative = (rank() - root + size()) % size();
  int first_child_bit = 1;
  while (first_child_bit <= relative) first_child_bit *= 2;
  Stages stages;
  stages.push_back([=, this](StagedOperation& op) {
    const int parent = relative - first_child_bit / 2;
    if (relative > 0 && view.bytes() > 0)
      op.receive(view.raw(), view.bytes(), (parent + root) % size());
  });
  stages.push_back([=, this](StagedOperation& op) {
    for (int bit = first_child_bit; relative + bit < size() && view.bytes() > 0; bit *= 2) {
      op.send(view.raw(), view.bytes(), (relative + bit + root) % size());
    }
  });
  return start_collective("broadcast", view.bytes(), std::move(stages));
}

std::unique_ptr<Pending> MessageCommunicator::start_broadcast_in_shares(TensorView view, int root) {
  const int me = rank(), ranks = size();
  const int64_t unit = core::size_of(view.dtype());
  char* data = bytes_of(view);
  const auto send = [=](StagedOperation& op, int share, int peer) {
    const auto [begin, end] = share_of(view.elements(), ranks, share);
    if (begin < end) op.send(data + begin * unit, (end - begin) * unit, peer);
  };
  const auto receive = [=](StagedOperation& op, int share, int peer) {
    const auto [begin, end] = share_of(view.elements(), ranks, share);
    if (begin < end) op.receive(data + begin * unit, (end - begin) * unit, peer);
  };
  Stages stages;
  stages.push_back([=](StagedOperation& op) {  // each rank gets its share …
    if (me != root) return receive(op, me, root);
    for_each_peer(me, ranks, [&](int peer) { send(op, peer, peer); });
  });
  stages.push_back([=](StagedOperation& op) {  // … and gives it to all
    for_each_peer(me, ranks, [&](int peer) {
      if (me != root) receive(op, peer, peer);
      if (peer != root) send(op, me, peer);
    });
  });
  return start_collective("broadcast", view.bytes(), std::move(stages));
}

std::unique_ptr<Pending> MessageCommunicator::start_all_reduce_sum(TensorView view) {
  return start_all_reduce(view, Reduction::kSum);
}

std::unique_ptr<Pending> MessageCommunicator::start_all_reduce_max(TensorView view) {
  return start_all_reduce(view, Reduction::kMax);
}

std::unique_ptr<Pending> MessageCommunicator::start_all_reduce(TensorView view,
                                                               Reduction reduction) {
  check_view(view, size());
  const int me = rank(), ranks = size();
  const int64_t bytes = view.bytes(), unit = core::size_of(view.dtype());
  const char* name = reduction == Reduction::kSum ? "all_reduce_sum" : "all_reduce_max";
  char* data = bytes_of(view);
  Stages stages;
  if (bytes > 0 && goes_by_doubling(ranks, bytes)) {
    stages = reduce_by_doubling({.me = {me, ranks},
                                 .reduction = reduction,
                                 .dtype = view.dtype(),
                                 .source = data,
                                 .count = view.elements(),
                                 .finish = [=](const char* accumulators) {
                                   narrow(view.dtype(), accumulators, data, view.elements());
                                 }});
  } else if (ranks > 1 && bytes > 0 && goes_whole(ranks, bytes)) {
    // Everybody receives everything and reduces for itself.
    stages.push_back([=](StagedOperation& op) {
      char* others = op.scratch(ranks * bytes);
      for_each_peer(me, ranks, [&](int peer) { op.receive(others + peer * bytes, bytes, peer); });
      for_each_peer(me, ranks, [&](int peer) { op.send(data, bytes, peer); });
    });
    stages.push_back([=](StagedOperation& op) {
      const auto sources = contributions(me, ranks, data, op.scratch(), bytes);
      reduce(reduction, view.dtype(), sources, data, view.elements());
    });
  } else if (ranks > 1 && bytes > 0) {
    // Each rank reduces one share, then sends it to all.
    const auto part = [=](int r) { return share_of(view.elements(), ranks, r); };
    const int64_t mine = (part(me).end - part(me).begin) * unit;
    stages.push_back([=](StagedOperation& op) {
      char* others = op.scratch(ranks * mine);
      for_each_peer(me, ranks, [&](int peer) {
        if (mine > 0) op.receive(others + peer * mine, mine, peer);
      });
      for_each_peer(me, ranks, [&](int peer) {
        const auto [begin, end] = part(peer);
        if (begin < end) op.send(data + begin * unit, (end - begin) * unit, peer);
      });
    });
    stages.push_back([=](StagedOperation& op) {
      char* own = data + part(me).begin * unit;
      reduce(reduction, view.dtype(), contributions(me, ranks, own, op.scratch(), mine), own,
             mine / unit);
      for_each_peer(me, ranks, [&](int peer) {
        const auto [begin, end] = part(peer);
        if (begin < end) op.receive(data + begin * unit, (end - begin) * unit, peer);
      });
      for_each_peer(me, ranks, [&](int peer) {
        if (mine > 0) op.send(own, mine, peer);
      });
    });
  }
  return start_collective(name, bytes, std::move(stages));
}

std::unique_ptr<Pending> MessageCommunicator::start_all_gather(TensorView own,
                                                               TensorView gathered) {
  check_view(own);
  check_view(gathered);
  CHECK(own.dtype() == gathered.dtype());
  CHECK_EQ(own.elements() * size(), gathered.elements());
  const int me = rank(), ranks = size();
  const int64_t bytes = own.bytes();
  if (bytes > 0 && goes_by_doubling(ranks, gathered.bytes())) {
    return start_collective("all_gather", bytes,
                            gather_by_doubling({me, ranks}, own.raw(), bytes, bytes_of(gathered)));
  }
  Stages stages;
  stages.push_back([=](StagedOperation& op) {
    if (bytes == 0) return;
    char* all = bytes_of(gathered);
    if (all + me * bytes != own.raw())
      std::memcpy(all + me * bytes, own.raw(), static_cast<size_t>(bytes));
    for_each_peer(me, ranks, [&](int peer) { op.receive(all + peer * bytes, bytes, peer); });
    for_each_peer(me, ranks, [&](int peer) { op.send(own.raw(), bytes, peer); });
  });
  return start_collective("all_gather", bytes, std::move(stages));
}

std::unique_ptr<Pending> MessageCommunicator::start_reduce_scatter_sum(TensorView full,
                                                                       TensorView own) {
  check_view(full);
  check_view(own);
  CHECK(own.dtype() == full.dtype());
  CHECK_EQ(own.elements() * size(), full.elements());
  const int me = rank(), ranks = size();
  const int64_t bytes = own.bytes();
  Stages stages;
  if (bytes > 0 && goes_by_doubling(ranks, full.bytes())) {
    const core::DType dtype = own.dtype();
    const int64_t count = own.elements(), width = core::size_of(accumulator_of(dtype));
    stages =
        reduce_by_doubling({.me = {me, ranks},
                            .reduction = Reduction::kSum,
                            .dtype = dtype,
                            .source = full.raw(),
                            .count = full.elements(),
                            .finish = [=](const char* accumulators) {
                              narrow(dtype, accumulators + me * count * width, own.raw(), count);
                            }});
  } else if (bytes > 0) {
    stages.push_back([=](StagedOperation& op) {
      char* others = op.scratch(ranks * bytes);
      for_each_peer(me, ranks, [&](int peer) { op.receive(others + peer * bytes, bytes, peer); });
      for_each_peer(me, ranks,
                    [&](int peer) { op.send(bytes_of(full) + peer * bytes, bytes, peer); });
    });
    stages.push_back([=](StagedOperation& op) {
      const auto sources =
          contributions(me, ranks, bytes_of(full) + me * bytes, op.scratch(), bytes);
      reduce(Reduction::kSum, own.dtype(), sources, own.raw(), own.elements());
    });
  }
  return start_collective("reduce_scatter_sum", full.bytes(), std::move(stages));
}

std::unique_ptr<Pending> MessageCommunicator::start_send(TensorView view, int peer, int tag) {
  check_view(view);
  CHECK(peer >= 0 && peer < size() && tag >= 0 && tag < kTags)
      << "peer " << peer << ", tag " << tag;
  Stages stages{[=](StagedOperation& op) { op.send(view.raw(), view.bytes(), peer); }};
  return std::make_unique<StagedOperation>(
      *transport_, core::message("send of ", view.bytes(), " bytes to rank ", peer, " of ", size()),
      Channel::kPointToPoint, tag, std::move(stages));
}

std::unique_ptr<Pending> MessageCommunicator::start_receive(TensorView view, int peer, int tag) {
  check_view(view);
  CHECK(peer >= 0 && peer < size() && tag >= 0 && tag < kTags)
      << "peer " << peer << ", tag " << tag;
  Stages stages{[=](StagedOperation& op) { op.receive(view.raw(), view.bytes(), peer); }};
  return std::make_unique<StagedOperation>(
      *transport_,
      core::message("receive of ", view.bytes(), " bytes from rank ", peer, " of ", size()),
      Channel::kPointToPoint, tag, std::move(stages));
}

void MessageCommunicator::barrier() {
  Stages stages;
  if (goes_by_doubling(size(), 0)) {
    stages = barrier_by_doubling({rank(), size()});
  } else {
    stages.push_back([this](StagedOperation& op) {
      for_each_peer(rank(), size(), [&](int peer) { op.receive(nullptr, 0, peer); });
      for_each_peer(rank(), size(), [&](int peer) { op.send(nullptr, 0, peer); });
    });
  }
  start_collective("barrier", 0, std::move(stages))->wait();
}

std::unique_ptr<Communicator> MessageCommunicator::split(int color, int key) {
  std::vector<int32_t> own{color, key}, all(2 * static_cast<size_t>(size()));
  all_gather(TensorView(own.data(), core::DType::kI32, {2}),
             TensorView(all.data(), core::DType::kI32, {size(), 2}));
  std::vector<int> colors;
  Partition partition;
  for (int r = 0; r < size(); ++r) {
    colors.push_back(all[2 * r]);
    if (all[2 * r] == color) partition.members.push_back(r);
  }
  std::sort(colors.begin(), colors.end());
  colors.erase(std::unique(colors.begin(), colors.end()), colors.end());
  partition.part =
      static_cast<int>(std::find(colors.begin(), colors.end(), color) - colors.begin());
  auto& members = partition.members;
  std::stable_sort(members.begin(), members.end(),
                   [&](int a, int b) { return all[2 * a + 1] < all[2 * b + 1]; });
  partition.new_rank =
      static_cast<int>(std::find(members.begin(), members.end(), rank()) - members.begin());
  return std::make_unique<MessageCommunicator>(transport_->split(partition));
}

}  // namespace longhaul::dist
