#include "model/checkpoint/safetensors.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>

#include "kernels/core/error.h"
#include "kernels/core/mapped_file.h"
#include "model/checkpoint/element_conversion.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/safetensors_header.h"

namespace longhaul::model {

struct SafetensorsFile::Mapped {
  std::filesystem::path path;
  core::MappedFile file;
  SafetensorsHeader header;
  std::map<std::string, size_t> index;  // of each name in header.tensors
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) {
  core::MappedFile file(path);
  SafetensorsHeader header = parse_safetensors_header(file.text(), path.string());
  mapped_ = std::make_unique<Mapped>(Mapped{path, std::move(file), std::move(header), {}});
  const auto& tensors = mapped_->header.tensors;
  for (size_t i = 0; i < tensors.size(); ++i) mapped_->index[tensors[i].name] = i;
}

SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;

const std::filesystem::path& SafetensorsFile::path() const { return mapped_->path; }

const std::vector<StoredTensor>& SafetensorsFile::tensors() const {
  return mapped_->header.tensors;
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return mapped_->header.metadata;
}

const StoredTensor* SafetensorsFile::find(const std::string& name) const {
  const auto found = mapped_->index.find(name);
  return found == mapped_->index.end() ? nullptr : &mapped_->header.tensors[found->second];
}

const void* SafetensorsFile::bytes(const StoredTensor& tensor) const {
  return mapped_->file.data() + mapped_->header.data_begin + tensor.begin;
}

void SafetensorsFile::read_bytes(const StoredTensor& tensor, uint64_t begin, uint64_t count,
                                 void* target) const {
  CHECK_LE(begin + count, tensor.end - tensor.begin) << tensor.name;
  if (count == 0) return;
  std::memcpy(target, static_cast<const char*>(bytes(tensor)) + begin, count);
  const uint64_t first = mapped_->header.data_begin + tensor.begin + begin;
  mapped_->file.release(first, first + count);
}

void SafetensorsFile::read_as(const StoredTensor& tensor, const core::TensorView& target) const {
  CHECK(target.is_contiguous());
  if (!target.device().is_cpu()) {
    std::vector<char> values(static_cast<size_t>(target.bytes()));
    const core::TensorView host(values.data(), target.dtype(), target.shape());
    read_as(tensor, host);
    return core::copy_now(host, target);
  }
  const auto refuse = [&](const std::string& what) {
    throw core::InputError(
        core::message(path().string(), ": tensor ", in_quotes(tensor.name), ": ", what));
  };
  if (target.elements() != tensor.shape.elements()) {
    refuse(core::message("is ", tensor.shape, ", expected ", target.shape()));
  }
  if (!can_read(tensor.type, target.dtype())) {
    refuse(core::message("is ", name_of(tensor.type), ", which is not read as ",
                         core::name_of(target.dtype())));
  }
  const std::string problem =
      read_elements(bytes(tensor), tensor.type, target.elements(), target.raw(), target.dtype());
  if (!problem.empty()) refuse(problem);
}

}  // namespace longhaul::model
