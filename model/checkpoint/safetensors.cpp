#include "model/checkpoint/safetensors.h"

#include <glog/logging.h>

#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"
#include "model/checkpoint/element_conversion.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/safetensors_tensors.h"

namespace longhaul::model {

struct SafetensorsFile::Opened {
  std::filesystem::path path;
  core::RandomAccessFile file;
  SafetensorsHeader header;
  std::map<std::string, size_t> index;  // of each name in header.tensors
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) {
  core::RandomAccessFile file(path);
  SafetensorsHeader header = parse_safetensors_header(file, path.string());
  opened_ = std::make_unique<Opened>(Opened{path, std::move(file), std::move(header), {}});
  const auto& tensors = opened_->header.tensors;
  for (size_t i = 0; i < tensors.size(); ++i) opened_->index[tensors[i].name] = i;
}

SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;

const std::filesystem::path& SafetensorsFile::path() const { return opened_->path; }

const std::vector<StoredTensor>& SafetensorsFile::tensors() const {
  return opened_->header.tensors;
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return opened_->header.metadata;
}

const StoredTensor* SafetensorsFile::find(const std::string& name) const {
  const auto found = opened_->index.find(name);
  return found == opened_->index.end() ? nullptr : &opened_->header.tensors[found->second];
}

void SafetensorsFile::read_bytes(const StoredTensor& tensor, uint64_t begin, uint64_t count,
                                 void* target) const {
  CHECK_LE(begin + count, tensor.end - tensor.begin) << tensor.name;
  opened_->file.read(static_cast<int64_t>(opened_->header.data_begin + tensor.begin + begin),
                     {static_cast<std::byte*>(target), count});
}

void SafetensorsFile::read_as(const StoredTensor& tensor, const core::TensorView& target) const {
  CHECK(target.is_contiguous());
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
  read_whole(stream_of(*this, tensor), target);
}

TensorStream stream_of(const SafetensorsFile& file, const StoredTensor& tensor) {
  TensorStream stream;
  stream.name = tensor.name;
  stream.shape = tensor.shape;
  stream.type = tensor.type;
  stream.origin = core::message(file.path().string(), ": tensor ", in_quotes(tensor.name));
  stream.read = [&file, &tensor](int64_t begin, int64_t count, void* target) {
    file.read_bytes(tensor, static_cast<uint64_t>(begin) * size_of(tensor.type),
                    static_cast<uint64_t>(count) * size_of(tensor.type), target);
  };
  return stream;
}

}  // namespace longhaul::model
