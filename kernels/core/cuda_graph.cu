#include "kernels/core/cuda_graph.h"

#include <glog/logging.h>

#include "kernels/core/handle.h"
#include "kernels/core/launch.cuh"

namespace longhaul::core {
namespace {

void destroy_graph(cudaGraph_t graph) { (void)cudaGraphDestroy(graph); }
void destroy_executable(cudaGraphExec_t graph) { (void)cudaGraphExecDestroy(graph); }
using Graph = UniqueHandle<cudaGraph_t, destroy_graph>;
using Executable = UniqueHandle<cudaGraphExec_t, destroy_executable>;

/// Ends the capture however `work` ends, so that the stream can be used again.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    MUST(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  }
  ~Capture() {
    if (ended_) return;
    cudaGraph_t graph = nullptr;
    (void)cudaStreamEndCapture(stream_, &graph);
    (void)cudaGetLastError();  // the reason was thrown already
    const Graph discarded(graph);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  Graph end() {
    ended_ = true;
    cudaGraph_t graph = nullptr;
    MUST(cudaStreamEndCapture(stream_, &graph));
    return Graph(graph);
  }

 private:
  cudaStream_t stream_;
  bool ended_ = false;
};

}  // namespace

struct CudaGraph::Recorded {
  Executable executable;
};

CudaGraph::CudaGraph() = default;
CudaGraph::~CudaGraph() = default;
CudaGraph::CudaGraph(CudaGraph&&) noexcept = default;
CudaGraph& CudaGraph::operator=(CudaGraph&&) noexcept = default;

CudaGraph CudaGraph::record(Context& context, const std::function<void()>& work) {
  Capture capture(stream_of(context));
  work();
  const Graph graph = capture.end();
  cudaGraphExec_t executable = nullptr;
  MUST(cudaGraphInstantiate(&executable, graph.get(), 0));
  CudaGraph result;
  result.recorded_ = std::make_unique<Recorded>();
  result.recorded_->executable = Executable(executable);
  return result;
}

void CudaGraph::launch(Context& context) const {
  CHECK(recorded_ != nullptr) << "launch of an empty graph";
  MUST(cudaGraphLaunch(recorded_->executable.get(), stream_of(context)));
}

}  // namespace longhaul::core
