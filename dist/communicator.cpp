#include "dist/communicator.h"

#include <glog/logging.h>

#include <algorithm>
#include <vector>

namespace longhaul::dist {

namespace {

core::TensorView view_of(double& value) { return {&value, core::DType::kF64, {1}}; }

}  // namespace

double Communicator::sum(double value) {
  all_reduce_sum(view_of(value));
  return value;
}

double Communicator::max(double value) {
  all_reduce_max(view_of(value));
  return value;
}

int64_t Communicator::sum(int64_t value) {
  return static_cast<int64_t>(sum(static_cast<double>(value)));
}

std::string Communicator::broadcast_bytes(const std::string& bytes, int root) {
  double length = static_cast<double>(bytes.size());
  broadcast(view_of(length), root);
  // No dtype is one byte wide: whole 4-byte words travel, the last padded.
  std::vector<int32_t> words((static_cast<size_t>(length) + 3) / 4);
  auto* text = reinterpret_cast<char*>(words.data());
  if (rank() == root) std::copy(bytes.begin(), bytes.end(), text);
  broadcast({words.data(), core::DType::kI32, {static_cast<int64_t>(words.size())}}, root);
  return {text, static_cast<size_t>(length)};
}

}  // namespace longhaul::dist
