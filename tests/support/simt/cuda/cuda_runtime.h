// What CUDA sources find as <cuda_runtime.h> when they are compiled for the host: the part of the
// language and of the runtime that this project uses, with its meaning. Device memory is host
// memory that only kernels and copies may touch (device_memory.h).
#pragma once

// NOLINTBEGIN(readability-identifier-naming,google-explicit-constructor): the names are NVIDIA's.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/support/simt/block.h"
#include "tests/support/simt/device_memory.h"
#include "tests/support/simt/stream.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace longhaul::simt {
enum class Word : uint8_t { kThread, kBlock, kBlockExtent, kGridExtent };

/// threadIdx.x and its like: read where they are used.
template <Word word, unsigned Index::*axis>
struct Coordinate {
  operator unsigned() const {  // NOLINT(google-explicit-constructor)
    const Thread& thread = *current_thread();
    switch (word) {
      case Word::kThread:
        return thread.index.*axis;
      case Word::kBlock:
        return thread.block->index().*axis;
      case Word::kBlockExtent:
        return thread.block->launch().block.*axis;
      default:
        return thread.block->launch().grid.*axis;
    }
  }
};
template <Word word>
struct Coordinates {
  Coordinate<word, &Index::x> x;
  Coordinate<word, &Index::y> y;
  Coordinate<word, &Index::z> z;
};
}  // namespace longhaul::simt
inline constexpr longhaul::simt::Coordinates<longhaul::simt::Word::kThread> threadIdx{};
inline constexpr longhaul::simt::Coordinates<longhaul::simt::Word::kBlock> blockIdx{};
inline constexpr longhaul::simt::Coordinates<longhaul::simt::Word::kBlockExtent> blockDim{};
inline constexpr longhaul::simt::Coordinates<longhaul::simt::Word::kGridExtent> gridDim{};

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// --- threads -----------------------------------------------------------------------------------
inline void __syncthreads() { longhaul::simt::current_thread()->block->barrier(); }
inline void __syncwarp(unsigned = 0xffffffffu) {
  longhaul::simt::current_thread()->block->warp_barrier();
}

namespace longhaul::simt {
/// The value of lane `source` of the warp.
template <class T>
T shuffle(T value, int source) {
  auto* mailboxes = current_thread()->block->exchange(Wait::kShuffle, &value, sizeof(T));
  std::memcpy(&value, mailboxes[source], sizeof(T));
  return value;
}
inline void require_full(unsigned mask) {
  if (mask != 0xffffffffu) current_thread()->block->report("a warp operation on part of a warp");
}
}  // namespace longhaul::simt

template <class T>
T __shfl_sync(unsigned mask, T value, int source) {
  longhaul::simt::require_full(mask);
  return longhaul::simt::shuffle(value, source & 31);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  longhaul::simt::require_full(mask);
  return longhaul::simt::shuffle(value, longhaul::simt::current_thread()->lane() ^ lanes);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta) {
  longhaul::simt::require_full(mask);
  const int lane = longhaul::simt::current_thread()->lane();
  const int source = lane - static_cast<int>(delta);
  return longhaul::simt::shuffle(value, source < 0 ? lane : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta) {
  longhaul::simt::require_full(mask);
  const int lane = longhaul::simt::current_thread()->lane();
  const int source = lane + static_cast<int>(delta);
  return longhaul::simt::shuffle(value, source > 31 ? lane : source);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  using namespace longhaul::simt;
  require_full(mask);
  const unsigned char mine = predicate != 0;
  auto* mailboxes = current_thread()->block->exchange(Wait::kVote, &mine, 1);
  unsigned votes = 0;
  for (int lane = 0; lane < kWarp; ++lane) votes |= unsigned{mailboxes[lane][0]} << lane;
  return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) == 0xffffffffu;
}

// --- arithmetic --------------------------------------------------------------------------------
inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
using std::max;
using std::min;
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t{a} * b >> 32);
}
inline double cospi(double x) { return std::cos(3.14159265358979323846 * x); }

// --- runtime -----------------------------------------------------------------------------------
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorNoDevice = 100,
  cudaErrorStreamCaptureUnsupported = 900
};
enum cudaMemcpyKind { cudaMemcpyDefault = 4 };
enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin = 97 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;
using cudaStream_t = longhaul::simt::Stream*;
using cudaEvent_t = void*;

inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess                         ? "no error"
         : error == cudaErrorInvalidConfiguration     ? "invalid configuration argument"
         : error == cudaErrorStreamCaptureUnsupported ? "operation not permitted when stream is "
                                                        "capturing"
                                                      : "out of memory";
}
inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
struct cudaDeviceProp {
  char name[256] = "emulated device";
};
inline cudaError_t cudaDeviceGetPCIBusId(char* place, int size, int) {
  std::snprintf(place, static_cast<size_t>(size), "emulated");
  return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  return *properties = {}, cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
inline cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
/// What a thread that records may not do; the recording is then worth nothing.
inline cudaError_t longhaul_unless_recording() {
  return longhaul::simt::spoil_recording() ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return longhaul_unless_recording(); }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = static_cast<size_t>(longhaul::simt::kDeviceBytes);
  *free = *total - static_cast<size_t>(longhaul::simt::device_bytes_used());
  return cudaSuccess;
}
inline cudaError_t cudaMalloc(void** block, size_t bytes) {
  if (longhaul::simt::spoil_recording()) return cudaErrorStreamCaptureUnsupported;
  *block = longhaul::simt::device_allocate(static_cast<int64_t>(bytes));
  return *block != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
constexpr unsigned cudaHostAllocDefault = 0;
inline cudaError_t cudaHostAlloc(void** block, size_t bytes, unsigned) {
  if (longhaul::simt::spoil_recording()) return cudaErrorStreamCaptureUnsupported;
  return *block = ::operator new(bytes), cudaSuccess;
}
inline cudaError_t cudaFreeHost(void* block) { return ::operator delete(block), cudaSuccess; }
inline cudaError_t cudaFree(void* block) { return longhaul::simt::device_free(block), cudaSuccess; }
// Work of a stream is done when the call returns, unless the stream records.
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return *stream = new longhaul::simt::Stream, cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) { return delete stream, cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return longhaul_unless_recording(); }
inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned = 0) {
  return cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return *event = new char, cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return delete static_cast<char*>(event), cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return longhaul_unless_recording(); }
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t stream) {
  longhaul::simt::run_or_record(stream, [=] { std::memcpy(target, source, bytes); });
  return cudaSuccess;
}
inline cudaError_t cudaMemcpy2DAsync(void* target, size_t target_pitch, const void* source,
                                     size_t source_pitch, size_t width, size_t height,
                                     cudaMemcpyKind, cudaStream_t stream) {
  longhaul::simt::run_or_record(stream, [=] {
    for (size_t i = 0; i < height; ++i) {
      std::memcpy(static_cast<char*>(target) + i * target_pitch,
                  static_cast<const char*>(source) + i * source_pitch, width);
    }
  });
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t stream) {
  longhaul::simt::run_or_record(stream, [=] { std::memset(target, value, bytes); });
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  return *value = longhaul::simt::shared_bytes_of_block(), cudaSuccess;
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel, cudaFuncAttribute, int bytes) {
  return bytes <= longhaul::simt::shared_bytes_of_block() ? cudaSuccess : cudaErrorInvalidValue;
}

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const dim3 &grid = config->gridDim, &block = config->blockDim;
  if (grid.x > 0x7fffffffu || std::max(grid.y, grid.z) > 65535 || block.x > 1024) {
    return cudaErrorInvalidConfiguration;
  }
  const std::tuple<Parameters...> values(std::forward<Arguments>(arguments)...);
  const auto index = [](const dim3& d) { return longhaul::simt::Index{d.x, d.y, d.z}; };
  const longhaul::simt::Launch launch{
      .grid = index(grid),
      .block = index(block),
      .shared_bytes = static_cast<int64_t>(config->dynamicSmemBytes)};
  longhaul::simt::run_or_record(config->stream, [=] {
    longhaul::simt::run_grid(launch, [&] { std::apply(kernel, values); });
  });
  return cudaSuccess;
}

// --- graphs ------------------------------------------------------------------------------------
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
using cudaGraph_t = longhaul::simt::Recording*;
using cudaGraphExec_t = longhaul::simt::Recording*;

inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  longhaul::simt::begin_recording(*stream);
  return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = longhaul::simt::end_recording(*stream).release();
  return *graph != nullptr ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned) {
  return *executable = new longhaul::simt::Recording(*graph), cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  longhaul::simt::launch_recording(*executable, *stream);
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
inline cudaError_t cudaGraphExecDestroy(longhaul::simt::Recording* executable) {
  return delete executable, cudaSuccess;
}

// NOLINTEND(readability-identifier-naming,google-explicit-constructor)
