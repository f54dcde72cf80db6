#include "kernels/core/device_reader.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/core/cuda_queue.cuh"
#include "kernels/core/launch.cuh"

namespace longhaul::core {

namespace {

constexpr int64_t kPiece = int64_t{16} << 20;

void free_locked(void* block) { (void)cudaFreeHost(block); }
using Locked = UniqueHandle<void*, free_locked>;

Locked lock_memory(int64_t bytes) {
  void* block = nullptr;
  MUST(cudaHostAlloc(&block, static_cast<size_t>(bytes), cudaHostAllocDefault));
  return Locked(block);
}

}  // namespace

/// One piece is on its way while the other is copied to where it belongs.
struct DeviceReader::Staging {
  struct Slot {
    Locked memory;
    Event arrived;
  };
  Stream stream;
  Event followed;
  std::array<Slot, 2> slots;

  Staging() : stream(make_stream()), followed(make_event()) {
    for (Slot& slot : slots) slot = {lock_memory(kPiece), make_event()};
  }
};

DeviceReader::DeviceReader(Context& context) : context_(&context) {
  if (context.device().is_cpu()) return;
  MUST(cudaSetDevice(context.device().index));
  staging_ = std::make_unique<Staging>();
}
DeviceReader::~DeviceReader() = default;
DeviceReader::DeviceReader(DeviceReader&&) noexcept = default;
DeviceReader& DeviceReader::operator=(DeviceReader&&) noexcept = default;

void DeviceReader::follow() {
  if (!staging_) return;
  MUST(cudaEventRecord(staging_->followed.get(), stream_of(*context_)));
  MUST(cudaStreamWaitEvent(staging_->stream.get(), staging_->followed.get()));
}

void DeviceReader::read(const TensorView& source, const TensorView& target) {
  CHECK(source.is_contiguous() && target.is_contiguous() && target.device().is_cpu());
  CHECK(source.shape() == target.shape() && source.dtype() == target.dtype());
  if (source.device().is_cpu()) return copy_now(source, target);
  MUST(cudaSetDevice(source.device().index));  // of this thread
  const int64_t bytes = source.bytes();
  const auto piece_of = [&](int64_t begin) { return std::min(kPiece, bytes - begin); };
  const auto slot_of = [&](int64_t begin) -> Staging::Slot& {
    return staging_->slots[static_cast<size_t>(begin / kPiece % 2)];
  };
  const auto start = [&](int64_t begin) {
    const Staging::Slot& slot = slot_of(begin);
    MUST(cudaMemcpyAsync(slot.memory.get(), static_cast<const char*>(source.raw()) + begin,
                         static_cast<size_t>(piece_of(begin)), cudaMemcpyDefault,
                         staging_->stream.get()));
    MUST(cudaEventRecord(slot.arrived.get(), staging_->stream.get()));
  };
  if (bytes > 0) start(0);
  for (int64_t begin = 0; begin < bytes; begin += kPiece) {
    if (begin + kPiece < bytes) start(begin + kPiece);
    const Staging::Slot& slot = slot_of(begin);
    MUST(cudaEventSynchronize(slot.arrived.get()));
    std::memcpy(static_cast<char*>(target.raw()) + begin, slot.memory.get(),
                static_cast<size_t>(piece_of(begin)));
  }
}

}  // namespace longhaul::core
