#include <algorithm>

#include "kernels/core/error.h"
#include "trainer/checkpoint_files.h"
#include "trainer/tensor_file.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;
using model::SafetensorsFile;
using model::StoredTensor;

namespace {

/// The stored elements as a view, after checking that they are of `dtype` and, from dimension
/// `first_checked` on, of `shape`.
core::TensorView stored_view(const SafetensorsFile& file, const std::string& name,
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
  return {const_cast<void*>(file.bytes(*tensor)), wanted.dtype(), tensor->shape};
}

/// Rows of all data ranks' files as one list; row r of the list to row r − first of `target`.
void deal_rows(const std::vector<core::TensorView>& written, int64_t first, core::Context& context,
               const core::TensorView& target) {
  int64_t begin = 0;
  for (const core::TensorView& part : written) {
    const int64_t end = begin + part.extent(0);
    const int64_t from = std::max(begin, first);
    const int64_t to = std::min(end, first + target.extent(0));
    if (from < to) {
      core::copy(context, part.slice(0, from - begin, to - begin),
                 target.slice(0, from - first, to - first));
    }
    begin = end;
  }
}

}  // namespace

bool read_source(const fs::path& folder, const CheckpointManifest& manifest, const dist::Mesh& mesh,
                 core::Context& context, InitialStateSource& source) {
  const std::vector<InitialStateSource::NamedTensor> tensors = source.stored();
  std::vector<SafetensorsFile> files;
  const bool has_rows = std::any_of(tensors.begin(), tensors.end(),
                                    [](const auto& tensor) { return tensor.per_row; });
  for (int rank = 0; rank < (has_rows ? manifest.mesh.data : 1); ++rank) {
    files.emplace_back(folder / source_file(rank));
  }
  bool dealt = true;
  for (const auto& tensor : tensors) {
    if (!tensor.per_row) {
      core::copy(context, stored_view(files.front(), tensor.name, tensor.view, 0), tensor.view);
      continue;
    }
    std::vector<core::TensorView> written;
    int64_t rows = 0;
    for (const SafetensorsFile& file : files) {
      written.push_back(stored_view(file, tensor.name, tensor.view, 1));
      rows += written.back().extent(0);
    }
    if (rows == tensor.view.extent(0) * mesh.shape().data) {
      deal_rows(written, tensor.view.extent(0) * mesh.data_rank(), context, tensor.view);
    } else {
      core::set_zero(context, tensor.view);
      dealt = false;
    }
  }
  return dealt;
}

}  // namespace longhaul::trainer
