#pragma once

#include <memory>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::core {

/// Brings a context's memory to the host beside whatever the context computes meanwhile: of a
/// device on a stream of its own, through page-locked memory (32 MiB, kept). On the CPU a copy.
class DeviceReader {
 public:
  /// `context` outlives it.
  explicit DeviceReader(Context& context);
  ~DeviceReader();
  DeviceReader(DeviceReader&&) noexcept;
  DeviceReader& operator=(DeviceReader&&) noexcept;

  /// What is read from now on is what the context's work up to now leaves. For the context's
  /// thread.
  void follow();
  /// Contiguous, of one shape and dtype, `target` on the host; there when the call returns. What is
  /// read must not change meanwhile. For any thread, one at a time.
  void read(const TensorView& source, const TensorView& target);

 private:
  struct Staging;
  Context* context_;
  std::unique_ptr<Staging> staging_;  // nullptr on the CPU
};

}  // namespace longhaul::core
