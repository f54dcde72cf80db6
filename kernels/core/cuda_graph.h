// Work on a device that is recorded once and then started again as a whole.
#pragma once

#include <functional>
#include <memory>

namespace longhaul::core {

class Context;

/// Move-only; a default-constructed one is empty. The context must outlive it.
class CudaGraph {
 public:
  CudaGraph();
  ~CudaGraph();
  CudaGraph(CudaGraph&&) noexcept;
  CudaGraph& operator=(CudaGraph&&) noexcept;

  /// Calls `work`, whose ops on the context are recorded instead of run: with the addresses and
  /// numbers that they are given now, so what is to change from one launch to the next lies in the
  /// device's memory. Throws Error where `work` waits for the device, copies from or to the host,
  /// or needs memory that the pool does not hold already (then nothing is recorded).
  ///
  /// Memory that `work` takes from the pool and gives back is used again by every launch: right as
  /// long as the pool gives nothing back to the system (MemoryPool::system_releases), all its users
  /// are on the context's stream, and what is allocated after the recording is given back before
  /// the next launch: it may have that memory, and the launch writes there. What is to live across
  /// launches is allocated before. (The pool does not keep the memory aside: every recording would
  /// hold its own, and what is not recorded as much once more.)
  static CudaGraph record(Context& context, const std::function<void()>& work);
  /// Behind what was started on the context before.
  void launch(Context& context) const;
  explicit operator bool() const { return recorded_ != nullptr; }

 private:
  struct Recorded;
  std::unique_ptr<Recorded> recorded_;
};

}  // namespace longhaul::core
