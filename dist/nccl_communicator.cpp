#include "dist/nccl_communicator.h"

#include <glog/logging.h>
#include <nccl.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "dist/nccl_messages.h"
#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

using core::TensorView;

ncclDataType_t type_of(core::DType dtype) {
  switch (dtype) {
    case core::DType::kF32:
      return ncclFloat32;
    case core::DType::kF64:
      return ncclFloat64;
    case core::DType::kBF16:
      return ncclBfloat16;
    case core::DType::kI32:
      return ncclInt32;
  }
  LOG(FATAL) << "no such dtype";
}

class DevicePending final : public Pending {
 public:
  DevicePending(NcclEngine& engine, NcclOperation& operation)
      : engine_(engine), operation_(operation), exceptions_at_start_(std::uncaught_exceptions()) {}
  ~DevicePending() override {
    if (!waited_ && !engine_.failed()) {
      if (std::uncaught_exceptions() > exceptions_at_start_) {
        engine_.fail("gave up " + operation_.description);
      } else {
        try {
          wait();
        } catch (const std::exception& error) {
          LOG(ERROR) << "while an operation was destroyed: " << error.what();
        }
      }
    }
    engine_.forget(operation_);
  }

  void wait() override {
    if (waited_) return;
    engine_.wait_until_launched(operation_);
    engine_.runtime().wait(engine_.compute_stream(), operation_.done);
    waited_ = true;
  }
  bool test() override {
    engine_.advance();
    return engine_.is_done(operation_);
  }

 private:
  NcclEngine& engine_;
  NcclOperation& operation_;
  int exceptions_at_start_;
  bool waited_ = false;
};

/// On host memory, with the host communicator's time limit; the device's operations advance
/// meanwhile.
class HostPending final : public Pending {
 public:
  HostPending(NcclEngine& engine, std::unique_ptr<Pending> pending)
      : engine_(engine), pending_(std::move(pending)) {}
  void wait() override {
    pending_->wait_while([&] { engine_.advance(); });
  }
  bool test() override {
    engine_.advance();
    return pending_->test();
  }

 private:
  NcclEngine& engine_;
  std::unique_ptr<Pending> pending_;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(NcclEngine& engine, std::unique_ptr<Communicator> host)
      : engine_(engine), host_(std::move(host)), messages_(engine, *host_) {
    if (size() == 1) return;  // nothing that NCCL is needed for
    collectives_ = &engine_.add_channel({.ranks = size(), .rank = rank(), .id = shared_id()});
  }
  ~NcclCommunicator() override {
    if (std::uncaught_exceptions() > exceptions_at_start_) {
      engine_.fail("gave up, because of another failure");  // no end that waits for the others
    }
    if (collectives_ != nullptr) engine_.remove_channels({collectives_});
  }

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  bool has_free_messages() const override { return false; }
  Liveness* liveness() override { return host_->liveness(); }
  void begin_busy(const std::string& what) override { host_->begin_busy(what); }
  void end_busy() override { host_->end_busy(); }

  std::unique_ptr<Pending> start_broadcast(TensorView view, int root) override {
    if (is_on_host(view)) return on_host(host_->start_broadcast(view, root));
    return start("broadcast", view, [=](ncclComm* comm, cudaStream_t stream) {
      return ncclBroadcast(view.raw(), view.raw(), count(view), type_of(view.dtype()), root, comm,
                           stream);
    });
  }
  std::unique_ptr<Pending> start_all_reduce_sum(TensorView view) override {
    if (is_on_host(view)) return on_host(host_->start_all_reduce_sum(view));
    return start("all_reduce_sum", view, [=](ncclComm* comm, cudaStream_t stream) {
      return ncclAllReduce(view.raw(), view.raw(), count(view), type_of(view.dtype()), ncclSum,
                           comm, stream);
    });
  }
  /// NCCL's maximum may lose a NaN: taken on the host. Nothing on the way of a training step.
  std::unique_ptr<Pending> start_all_reduce_max(TensorView view) override {
    if (is_on_host(view)) return on_host(host_->start_all_reduce_max(view));
    std::vector<double> memory(static_cast<size_t>(view.bytes() + 7) / 8 + 1);
    const TensorView copy(memory.data(), view.dtype(), view.shape());
    DeviceRuntime& runtime = engine_.runtime();
    runtime.copy(memory.data(), view.raw(), view.bytes(), engine_.compute_stream());
    runtime.synchronize(engine_.compute_stream());
    on_host(host_->start_all_reduce_max(copy))->wait();
    runtime.copy(view.raw(), memory.data(), view.bytes(), engine_.compute_stream());
    runtime.synchronize(engine_.compute_stream());
    return start("all_reduce_max", view, [](ncclComm*, cudaStream_t) { return ncclSuccess; });
  }
  std::unique_ptr<Pending> start_all_gather(TensorView own, TensorView gathered) override {
    CHECK(own.dtype() == gathered.dtype() && own.device() == gathered.device());
    CHECK_EQ(own.elements() * size(), gathered.elements());
    if (is_on_host(own)) return on_host(host_->start_all_gather(own, gathered));
    CHECK(gathered.is_contiguous());
    if (size() == 1) return copy_alone("all_gather", own, gathered);
    return start("all_gather", own, [=](ncclComm* comm, cudaStream_t stream) {
      return ncclAllGather(own.raw(), gathered.raw(), count(own), type_of(own.dtype()), comm,
                           stream);
    });
  }
  std::unique_ptr<Pending> start_reduce_scatter_sum(TensorView full, TensorView own) override {
    CHECK(own.dtype() == full.dtype() && own.device() == full.device());
    CHECK_EQ(own.elements() * size(), full.elements());
    if (is_on_host(own)) return on_host(host_->start_reduce_scatter_sum(full, own));
    CHECK(full.is_contiguous());
    if (size() == 1) return copy_alone("reduce_scatter_sum", full, own);
    return start("reduce_scatter_sum", own, [=](ncclComm* comm, cudaStream_t stream) {
      return ncclReduceScatter(full.raw(), own.raw(), count(own), type_of(own.dtype()), ncclSum,
                               comm, stream);
    });
  }
  std::unique_ptr<Pending> start_transfers(const std::vector<Transfer>& sends,
                                           const std::vector<Transfer>& receives) override {
    const auto is_device = [](const Transfer& each) { return !is_on_host(each.view); };
    const auto on_device = std::count_if(sends.begin(), sends.end(), is_device) +
                           std::count_if(receives.begin(), receives.end(), is_device);
    if (on_device == 0 || size() == 1) return Communicator::start_transfers(sends, receives);
    CHECK_EQ(on_device, std::ssize(sends) + std::ssize(receives)) << "host and device memory";
    int64_t bytes = 0;
    for (const auto* list : {&sends, &receives}) {
      for (const auto& [view, peer] : *list) {
        CHECK(peer >= 0 && peer < size());
        bytes += view.bytes();
      }
    }
    return start_on_device(core::message(sends.size(), " sends and ", receives.size(),
                                         " receives of ", bytes, " bytes"),
                           [=](ncclComm* comm, cudaStream_t stream) {
                             return transfer(sends, receives, comm, stream);
                           });
  }
  std::unique_ptr<Pending> start_send(TensorView view, int peer, int tag) override {
    CHECK(peer >= 0 && peer < size());
    if (is_on_host(view)) return on_host(host_->start_send(view, peer, tag));
    return std::make_unique<DevicePending>(engine_, messages_.start_send(view, peer, tag));
  }
  std::unique_ptr<Pending> start_receive(TensorView view, int peer, int tag) override {
    CHECK(peer >= 0 && peer < size());
    if (is_on_host(view)) return on_host(host_->start_receive(view, peer, tag));
    return std::make_unique<DevicePending>(engine_, messages_.start_receive(view, peer, tag));
  }
  void barrier() override {
    float token = 0;
    all_reduce_sum({&token, core::DType::kF32, {1}});
  }
  std::unique_ptr<Communicator> split(int color, int key) override {
    return std::make_unique<NcclCommunicator>(engine_, host_->split(color, key));
  }

 private:
  using Call = std::function<ncclResult_t(ncclComm*, cudaStream_t)>;

  static size_t count(const TensorView& view) { return static_cast<size_t>(view.elements()); }

  static bool is_on_host(const TensorView& view) {
    CHECK(view.is_contiguous()) << "communication needs contiguous memory";
    return view.device().is_cpu();
  }
  std::unique_ptr<Pending> on_host(std::unique_ptr<Pending> pending) {
    return std::make_unique<HostPending>(engine_, std::move(pending));
  }
  std::unique_ptr<Pending> start(const char* name, const TensorView& view, const Call& issue) {
    const bool is_empty = view.elements() == 0;
    return start_on_device(core::message(name, " of ", view.bytes(), " bytes"),
                           [issue, is_empty](ncclComm* comm, cudaStream_t stream) {
                             return is_empty ? ncclSuccess : issue(comm, stream);
                           });
  }
  std::unique_ptr<Pending> start_on_device(std::string description, const Call& issue) {
    NcclOperation& operation = engine_.new_operation(
        std::move(description), [issue](ncclComm* comm, DeviceRuntime::Stream stream) -> int {
          return issue(comm, static_cast<cudaStream_t>(stream));
        });
    if (collectives_ == nullptr) {
      engine_.launch_on_compute(operation, [] {});
    } else {
      engine_.push(*collectives_, operation);
    }
    engine_.advance();
    return std::make_unique<DevicePending>(engine_, operation);
  }
  /// Of one rank.
  std::unique_ptr<Pending> copy_alone(const char* name, const TensorView& from,
                                      const TensorView& to) {
    if (from.raw() != to.raw() && from.bytes() > 0) {
      engine_.runtime().copy(to.raw(), from.raw(), from.bytes(), engine_.compute_stream());
    }
    return start_on_device(name, nullptr);
  }
  static ncclResult_t transfer(const std::vector<Transfer>& sends,
                               const std::vector<Transfer>& receives, ncclComm* comm,
                               cudaStream_t stream) {
    ncclResult_t worst = ncclGroupStart();
    const auto keep = [&](ncclResult_t code) {
      if (code != ncclSuccess && code != ncclInProgress) worst = code;
    };
    for (const auto& [view, peer] : sends) {
      if (view.bytes() > 0) keep(ncclSend(view.raw(), size_of(view), ncclInt8, peer, comm, stream));
    }
    for (const auto& [view, peer] : receives) {
      if (view.bytes() > 0) keep(ncclRecv(view.raw(), size_of(view), ncclInt8, peer, comm, stream));
    }
    const ncclResult_t end = ncclGroupEnd();
    return worst == ncclSuccess ? end : worst;
  }
  static size_t size_of(const TensorView& view) { return static_cast<size_t>(view.bytes()); }
  /// Rank 0's, through the host.
  NcclId shared_id() {
    NcclId id = rank() == 0 ? new_nccl_id() : NcclId{};
    host_->broadcast_bytes({id.bytes, sizeof(id.bytes)}, 0).copy(id.bytes, sizeof(id.bytes));
    return id;
  }

  NcclEngine& engine_;
  std::unique_ptr<Communicator> host_;
  NcclMessages messages_;
  NcclChannel* collectives_ = nullptr;  ///< of several ranks
  int exceptions_at_start_ = std::uncaught_exceptions();
};

}  // namespace

bool nccl_available() noexcept { return true; }
const char* nccl_unavailable_reason() noexcept { return ""; }

struct NcclSession::State {
  State(Communicator& bootstrap, const NcclOptions& options, std::unique_ptr<DeviceRuntime> runtime)
      : engine(bootstrap.rank(), bootstrap.liveness(), options, std::move(runtime)),
        world(engine, bootstrap.split(0, bootstrap.rank())) {}
  NcclEngine engine;
  NcclCommunicator world;
};

NcclSession::NcclSession(Communicator& bootstrap, const NcclOptions& options,
                         std::unique_ptr<DeviceRuntime> runtime)
    : state_(std::make_unique<State>(bootstrap, options, std::move(runtime))) {}

NcclSession::~NcclSession() = default;

Communicator& NcclSession::world() { return state_->world; }
void NcclSession::set_time_limit(double seconds) { state_->engine.set_time_limit(seconds); }
void NcclSession::set_activity(const std::string& activity) {
  state_->engine.set_activity(activity);
}

}  // namespace longhaul::dist
