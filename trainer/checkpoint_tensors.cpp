#include <algorithm>
#include <map>

#include "kernels/core/error.h"
#include "trainer/checkpoint_files.h"
#include "trainer/tensor_file.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;
using model::SafetensorsFile;
using model::StoredTensor;

namespace {

/// After checking that it is of the dtype of `wanted` and, from dimension `first_checked` on, of
/// its shape.
const StoredTensor& find_stored(const SafetensorsFile& file, const std::string& name,
                                const core::TensorView& wanted, int first_checked) {
  const StoredTensor* tensor = file.find(name);
  if (tensor == nullptr) {
    throw core::InputError(core::message(file.path().string(), ": tensor ", name, ": is missing"));
  }
  bool fits = tensor->type == stored_type(wanted.dtype()) && tensor->shape.rank() == wanted.rank();
  for (int i = first_checked; fits && i < wanted.rank(); ++i) {
    fits = tensor->shape[i] == wanted.extent(i);
  }
  if (!fits) {
    throw core::InputError(
        core::message(file.path().string(), ": tensor ", name, ": is ", tensor->shape,
                      tensor->type == stored_type(wanted.dtype()) ? "" : " of another type",
                      ", expected ", core::name_of(wanted.dtype()), " ", wanted.shape(),
                      first_checked > 0 ? " with any first extent" : ""));
  }
  return *tensor;
}

/// What data rank after data rank wrote, opened where it is needed.
class SourceFiles {
 public:
  SourceFiles(const fs::path& folder, int data_ranks) : folder_(folder), ranks_(data_ranks) {}

  int ranks() const { return ranks_; }
  const SafetensorsFile& of(int rank) {
    auto found = files_.find(rank);
    if (found == files_.end()) found = files_.emplace(rank, folder_ / source_file(rank)).first;
    return found->second;
  }

 private:
  fs::path folder_;
  int ranks_;
  std::map<int, SafetensorsFile> files_;
};

/// Rows [first, first + those of `target`) of the list that all files' rows, `each` in a file,
/// make.
void deal_rows(SourceFiles& files, const InitialStateSource::NamedTensor& tensor, int64_t each,
               int64_t first, core::Context& context) {
  const core::TensorView& target = tensor.view;
  const int64_t last = first + target.extent(0);
  for (int64_t begin = first / each * each; begin < last; begin += each) {
    const SafetensorsFile& file = files.of(static_cast<int>(begin / each));
    const StoredTensor& part = find_stored(file, tensor.name, target, 1);
    if (part.shape[0] != each) {
      throw core::InputError(core::message(file.path().string(), ": tensor ", tensor.name, ": has ",
                                           part.shape[0], " rows, expected ", each));
    }
    const int64_t from = std::max(begin, first), to = std::min(begin + each, last);
    const int64_t row = each > 0 ? part.shape.elements() / each : 0;
    read_stored(context, file, part, (from - begin) * row,
                target.slice(0, from - first, to - first));
  }
}

}  // namespace

bool read_source(const fs::path& folder, const CheckpointManifest& manifest, const dist::Mesh& mesh,
                 core::Context& context, InitialStateSource& source) {
  SourceFiles files(folder, manifest.mesh.data);
  bool dealt = true;
  for (const auto& tensor : source.stored()) {
    if (!tensor.per_row) {
      const SafetensorsFile& file = files.of(0);
      read_stored(context, file, find_stored(file, tensor.name, tensor.view, 0), 0, tensor.view);
      continue;
    }
    // All data ranks write as many rows.
    const int some = std::min(mesh.data_rank(), files.ranks() - 1);
    const int64_t each = find_stored(files.of(some), tensor.name, tensor.view, 1).shape[0];
    const int64_t rows = tensor.view.extent(0);
    if (each > 0 && each * files.ranks() == rows * mesh.shape().data) {
      deal_rows(files, tensor, each, rows * mesh.data_rank(), context);
    } else {
      core::set_zero(context, tensor.view);
      dealt = false;
    }
  }
  return dealt;
}

}  // namespace longhaul::trainer
