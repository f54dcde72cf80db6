#include "bench/cudnn/cudnn_graph.h"

#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"
#include "kernels/core/shared_library.h"

namespace longhaul::bench {

namespace {

constexpr int64_t kMostEngines = 16;

CudnnLibrary load() {
  const core::SharedLibrary library("cuDNN", "libcudnn.so." + std::to_string(CUDNN_MAJOR),
                                    LONGHAUL_CUDNN_FOLDER);
  CudnnLibrary f{};
  library.find("cudnnCreate", f.create);
  library.find("cudnnDestroy", f.destroy);
  library.find("cudnnSetStream", f.set_stream);
  library.find("cudnnGetErrorString", f.error_string);
  library.find("cudnnGetLastErrorString", f.last_error_string);
  library.find("cudnnBackendCreateDescriptor", f.create_descriptor);
  library.find("cudnnBackendDestroyDescriptor", f.destroy_descriptor);
  library.find("cudnnBackendSetAttribute", f.set_attribute);
  library.find("cudnnBackendGetAttribute", f.get_attribute);
  library.find("cudnnBackendFinalize", f.finalize);
  library.find("cudnnBackendExecute", f.execute);
  return f;
}

cudnnDataType_t type_of(core::DType dtype) {
  CHECK(dtype == core::DType::kF32 || dtype == core::DType::kBF16) << name_of(dtype);
  return dtype == core::DType::kF32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16;
}

std::string last_error() {
  char words[512] = "";
  cudnn_library().last_error_string(words, sizeof words);
  return words;
}

cudnnBackendDescriptor_t made(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t descriptor = nullptr;
  require_cudnn(cudnn_library().create_descriptor(type, &descriptor), "creating a descriptor");
  return descriptor;
}

}  // namespace

const CudnnLibrary& cudnn_library() {
  static const CudnnLibrary functions = load();
  return functions;
}

void require_cudnn(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw core::Error(core::message("cuDNN: ", cudnn_library().error_string(status), " in ", what,
                                  ": ", last_error()));
}

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) : descriptor_(made(type)) {}

CudnnOp::Plan::Plan(core::Context& own_context) : context(own_context) {
  cudnnHandle_t created = nullptr;
  require_cudnn(cudnn_library().create(&created), "cudnnCreate");
  handle = core::UniqueHandle<cudnnHandle_t, destroy_cudnn_handle>(created);
  const auto stream = static_cast<cudaStream_t>(core::cuda_stream(context));
  require_cudnn(cudnn_library().set_stream(created, stream), "cudnnSetStream");
}

CudnnDescriptor& CudnnOp::Plan::tensor(const core::TensorView& view, const CudnnExtents& extents) {
  return add_tensor(type_of(view.dtype()), extents, view.raw(), false);
}

CudnnDescriptor& CudnnOp::Plan::number(float value) {
  return add_tensor(CUDNN_DATA_FLOAT, {{1, 1, 1, 1}, {1, 1, 1, 1}}, &numbers.emplace_back(value),
                    true);
}

CudnnDescriptor& CudnnOp::Plan::add_tensor(cudnnDataType_t type, const CudnnExtents& extents,
                                           void* address, bool by_value) {
  constexpr int64_t kAlignment = 16;
  ids.push_back(static_cast<int64_t>(ids.size()) + 1);
  addresses.push_back(address);
  CudnnDescriptor& made = descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  made.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type)
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, extents.extents)
      .set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, extents.strides)
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, ids.back())
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, kAlignment)
      .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, by_value);
  return made.finalize();
}

bool CudnnOp::Plan::try_engines(CudnnDescriptor& graph, cudnnBackendHeurMode_t mode) {
  CudnnDescriptor& heuristic = descriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
  if (heuristic.try_to_finalize() != CUDNN_STATUS_SUCCESS) return false;
  std::vector<cudnnBackendDescriptor_t> results;  // kept with the plan, which refers to its own
  for (int64_t i = 0; i < kMostEngines; ++i) {
    results.push_back(descriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
  }
  int64_t found = 0;
  const cudnnStatus_t status = cudnn_library().get_attribute(
      heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, kMostEngines,
      &found, results.data());
  if (status != CUDNN_STATUS_SUCCESS) return false;
  for (int64_t i = 0; i < found; ++i) {
    auto tried = std::make_unique<CudnnDescriptor>(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    tried->set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, handle.get())
        .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR,
             results[static_cast<size_t>(i)]);
    if (tried->try_to_finalize() != CUDNN_STATUS_SUCCESS) continue;
    plan = std::move(tried);
    return true;
  }
  return false;
}

void CudnnOp::Plan::choose(CudnnDescriptor& operation, const std::string& what) {
  CudnnDescriptor& graph = descriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, handle.get())
      .set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation)
      .finalize();
  if (!try_engines(graph, CUDNN_HEUR_MODE_A) && !try_engines(graph, CUDNN_HEUR_MODE_FALLBACK)) {
    throw core::Error(core::message("cuDNN has no engine for ", what, ": ", last_error()));
  }
  int64_t bytes = 0, count = 0;
  require_cudnn(cudnn_library().get_attribute(plan->get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                              CUDNN_TYPE_INT64, 1, &count, &bytes),
                "asking for a workspace's size");
  void* memory = nullptr;
  if (bytes > 0) {
    workspace = core::Tensor(context, core::DType::kF32, {(bytes + 3) / 4});
    memory = workspace.view().raw();
  }
  variant = std::make_unique<CudnnDescriptor>(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  variant->set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, ids)
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, addresses)
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, memory)
      .finalize();
}

CudnnOp::CudnnOp(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
CudnnOp::~CudnnOp() = default;
CudnnOp::CudnnOp(CudnnOp&&) noexcept = default;
CudnnOp& CudnnOp::operator=(CudnnOp&&) noexcept = default;

void CudnnOp::run() const {
  require_cudnn(
      cudnn_library().execute(plan_->handle.get(), plan_->plan->get(), plan_->variant->get()),
      "running a plan");
}

std::string cudnn_unavailable_reason(const core::Context& context) {
  if (context.device().is_cpu()) return "cuDNN computes on cuda only";
  try {
    static_cast<void>(cudnn_library());
  } catch (const core::Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace longhaul::bench
