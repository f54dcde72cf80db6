// A tensor on its way from one file to another: its elements on demand, never all of them at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/safetensors.h"
#include "model/parameters.h"

namespace longhaul::model {

struct TensorStream {
  std::string name;  ///< transformers' ("backbone.embeddings.weight"), or as stored if it has none
  core::Shape shape;
  StoredType type = StoredType::kF32;  ///< of the elements that `read` gives
  std::string origin;                  ///< for messages: FILE: tensor "NAME"
  /// Elements [begin, begin + count) in row-major order. What it reads from must outlive it.
  std::function<void(int64_t begin, int64_t count, void* target)> read;

  int64_t bytes() const;
};

/// What tensors are moved in; longer ones go in several.
inline constexpr int64_t kPieceElements = int64_t{1} << 18;

/// Reads the tensor from front to back and hands its bytes on, piece by piece.
void for_each_piece(const TensorStream& tensor,
                    const std::function<void(const void* bytes, size_t count)>& take);

/// The same elements as `type`, floats rounded once, to nearest even. Reading throws InputError
/// naming the tensor and an element that `type` cannot hold.
TensorStream converted(const TensorStream& tensor, StoredType type);

/// Fills a contiguous host view of the same number of elements, converting.
void read_whole(const TensorStream& tensor, const core::TensorView& target);

/// Whether two tensors of one shape have the same values.
bool same_values(const TensorStream& a, const TensorStream& b);

/// Parameters in host memory, which must outlive the streams.
std::vector<TensorStream> streams_of(const ParameterSet& parameters);

/// Some container's tensors; the streams read from it.
class TensorFile {
 public:
  TensorFile() = default;
  virtual ~TensorFile() = default;
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;
  virtual const std::vector<TensorStream>& tensors() const = 0;
};

/// Writes a safetensors file as write_safetensors does, in memory that does not grow with the
/// tensors. `progress` is called with the bytes of each piece.
void write_tensor_streams(const std::filesystem::path& path,
                          const std::vector<TensorStream>& tensors,
                          const std::function<void(int64_t bytes)>& progress = {},
                          std::map<std::string, std::string> metadata = {},
                          WrittenTo where = WrittenTo::kFolderOfUsers);

}  // namespace longhaul::model
