// cuDNN's graph API (its backend descriptors), as much of it as cudnn_ops.cpp needs: tensors, an
// operation, the plan that runs it. The library is opened when it is first asked for.
#pragma once

#include <cudnn.h>

#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "bench/cudnn/cudnn_ops.h"
#include "kernels/core/handle.h"

namespace longhaul::bench {

/// The functions that are called, by their names without "cudnn".
struct CudnnLibrary {
  decltype(&cudnnCreate) create;
  decltype(&cudnnDestroy) destroy;
  decltype(&cudnnSetStream) set_stream;
  decltype(&cudnnGetErrorString) error_string;
  decltype(&cudnnGetLastErrorString) last_error_string;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor;
  decltype(&cudnnBackendSetAttribute) set_attribute;
  decltype(&cudnnBackendGetAttribute) get_attribute;
  decltype(&cudnnBackendFinalize) finalize;
  decltype(&cudnnBackendExecute) execute;
};
/// Opened once in a process. Error if it is not there.
const CudnnLibrary& cudnn_library();

/// Throws core::Error with cuDNN's own words.
void require_cudnn(cudnnStatus_t status, const char* what);

inline void destroy_cudnn_descriptor(cudnnBackendDescriptor_t descriptor) {
  (void)cudnn_library().destroy_descriptor(descriptor);
}
inline void destroy_cudnn_handle(cudnnHandle_t handle) { (void)cudnn_library().destroy(handle); }

/// A backend descriptor: attributes are set, then it is finalized.
class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);
  cudnnBackendDescriptor_t get() const { return descriptor_.get(); }

  template <class T>
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                       const std::vector<T>& values) {
    require_cudnn(cudnn_library().set_attribute(get(), name, type,
                                                static_cast<int64_t>(values.size()), values.data()),
                  "setting an attribute");
    return *this;
  }
  template <class T>
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                       const T& value) {
    require_cudnn(cudnn_library().set_attribute(get(), name, type, 1, &value),
                  "setting an attribute");
    return *this;
  }
  CudnnDescriptor& set(cudnnBackendAttributeName_t name, const CudnnDescriptor& other) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.get());
  }
  cudnnStatus_t try_to_finalize() { return cudnn_library().finalize(get()); }
  CudnnDescriptor& finalize() {
    require_cudnn(try_to_finalize(), "finalizing a descriptor");
    return *this;
  }

 private:
  core::UniqueHandle<cudnnBackendDescriptor_t, destroy_cudnn_descriptor> descriptor_;
};

struct CudnnExtents {
  std::vector<int64_t> extents, strides;  ///< four of each
};

struct CudnnOp::Plan {
  explicit Plan(core::Context& context);

  /// A tensor of the operation, at the address of `view` as it is run.
  CudnnDescriptor& tensor(const core::TensorView& view, const CudnnExtents& extents);
  /// A number that cuDNN reads on the host.
  CudnnDescriptor& number(float value);
  CudnnDescriptor& descriptor(cudnnBackendDescriptorType_t type) {
    return descriptors.emplace_back(type);
  }
  /// Chooses an engine for the one operation and reserves its workspace; `what` for messages.
  void choose(CudnnDescriptor& operation, const std::string& what);

  core::Context& context;
  core::UniqueHandle<cudnnHandle_t, destroy_cudnn_handle> handle;
  std::deque<CudnnDescriptor> descriptors;
  std::deque<float> numbers;
  std::vector<int64_t> ids;
  std::vector<void*> addresses;
  std::unique_ptr<CudnnDescriptor> plan, variant;
  core::Tensor workspace;

 private:
  CudnnDescriptor& add_tensor(cudnnDataType_t type, const CudnnExtents& extents, void* address,
                              bool by_value);
  bool try_engines(CudnnDescriptor& graph, cudnnBackendHeurMode_t mode);
};

}  // namespace longhaul::bench
