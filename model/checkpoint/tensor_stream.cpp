#include "model/checkpoint/tensor_stream.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>

#include "kernels/core/error.h"
#include "model/checkpoint/element_conversion.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/safetensors_header.h"

namespace longhaul::model {

namespace {

/// Calls visit(begin, count) for the pieces of `elements`.
template <class Visit>
void for_each_range(int64_t elements, const Visit& visit) {
  for (int64_t begin = 0; begin < elements; begin += kPieceElements) {
    visit(begin, std::min(kPieceElements, elements - begin));
  }
}

std::vector<char> piece_memory(const TensorStream& tensor) {
  const int64_t most = std::min(kPieceElements, tensor.shape.elements());
  return std::vector<char>(static_cast<size_t>(most) * size_of(tensor.type));
}

StoredType stored_as_is(core::DType dtype) {
  switch (dtype) {
    case core::DType::kF64:
      return StoredType::kF64;
    case core::DType::kF32:
      return StoredType::kF32;
    case core::DType::kBF16:
      return StoredType::kBF16;
    case core::DType::kI32:
      return StoredType::kI32;
  }
  LOG(FATAL) << "no such element type";
}

}  // namespace

int64_t TensorStream::bytes() const {
  return shape.elements() * static_cast<int64_t>(size_of(type));
}

void for_each_piece(const TensorStream& tensor,
                    const std::function<void(const void* bytes, size_t count)>& take) {
  std::vector<char> piece = piece_memory(tensor);
  for_each_range(tensor.shape.elements(), [&](int64_t begin, int64_t count) {
    tensor.read(begin, count, piece.data());
    take(piece.data(), static_cast<size_t>(count) * size_of(tensor.type));
  });
}

TensorStream converted(const TensorStream& tensor, StoredType type) {
  if (type == tensor.type) return tensor;
  TensorStream result = tensor;
  result.type = type;
  result.read = [source = tensor, type](int64_t begin, int64_t count, void* target) {
    std::vector<char> piece(static_cast<size_t>(std::min(kPieceElements, count)) *
                            size_of(source.type));
    for_each_range(count, [&](int64_t first, int64_t some) {
      source.read(begin + first, some, piece.data());
      const std::string problem = convert_elements(
          piece.data(), source.type, begin + first, some,
          static_cast<char*>(target) + first * static_cast<int64_t>(size_of(type)), type);
      if (!problem.empty()) throw core::InputError(core::message(source.origin, ": ", problem));
    });
  };
  return result;
}

void read_whole(const TensorStream& tensor, const core::TensorView& target) {
  CHECK(target.is_contiguous());
  CHECK_EQ(target.elements(), tensor.shape.elements()) << tensor.name;
  const core::TensorView flat = target.reshape({target.elements()});
  const bool on_host = target.device().is_cpu();
  if (on_host && tensor.type == stored_as_is(target.dtype())) {
    for_each_range(target.elements(), [&](int64_t begin, int64_t count) {
      tensor.read(begin, count, flat.slice(0, begin, begin + count).raw());
    });
    return;
  }
  std::vector<char> piece = piece_memory(tensor), host;
  for_each_range(target.elements(), [&](int64_t begin, int64_t count) {
    tensor.read(begin, count, piece.data());
    const core::TensorView part = flat.slice(0, begin, begin + count);
    if (!on_host) host.resize(static_cast<size_t>(part.bytes()));
    void* const values = on_host ? part.raw() : host.data();
    const std::string problem =
        read_elements(piece.data(), tensor.type, begin, count, values, target.dtype());
    if (!problem.empty()) throw core::InputError(core::message(tensor.origin, ": ", problem));
    if (!on_host) core::copy_now({values, target.dtype(), part.shape()}, part);
  });
}

bool same_values(const TensorStream& a, const TensorStream& b) {
  CHECK(a.shape == b.shape);
  const auto type = a.type == b.type ? a.type : StoredType::kF64;  // holds every other float
  const TensorStream one = converted(a, type), other = converted(b, type);
  std::vector<char> left = piece_memory(one), right = left;
  bool same = true;
  for_each_range(a.shape.elements(), [&](int64_t begin, int64_t count) {
    if (!same) return;
    one.read(begin, count, left.data());
    other.read(begin, count, right.data());
    same = std::memcmp(left.data(), right.data(), static_cast<size_t>(count) * size_of(type)) == 0;
  });
  return same;
}

std::vector<TensorStream> streams_of(const ParameterSet& parameters) {
  std::vector<TensorStream> streams;
  for (const Parameter& parameter : parameters.list()) {
    const core::TensorView view = parameters.value(parameter);
    TensorStream stream;
    stream.name = parameter.name;
    stream.shape = parameter.shape;
    stream.type = stored_as_is(view.dtype());
    stream.origin = core::message("tensor ", in_quotes(parameter.name));
    stream.read = [flat = view.reshape({view.elements()})](int64_t begin, int64_t count,
                                                           void* target) {
      core::copy_now(flat.slice(0, begin, begin + count), {target, flat.dtype(), {count}});
    };
    streams.push_back(std::move(stream));
  }
  return streams;
}

}  // namespace longhaul::model
