#include "dist/communicator.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace longhaul::dist {

namespace {

core::TensorView view_of(double& value) { return {&value, core::DType::kF64, {1}}; }

class AllOf final : public Pending {
 public:
  explicit AllOf(std::vector<std::unique_ptr<Pending>> parts) : parts_(std::move(parts)) {}
  void wait() override {
    for (const auto& part : parts_) part->wait();
  }
  bool test() override {
    std::erase_if(parts_, [](const auto& part) { return part->test(); });
    return parts_.empty();
  }

 private:
  std::vector<std::unique_ptr<Pending>> parts_;
};

}  // namespace

std::unique_ptr<Pending> Communicator::start_transfers(const std::vector<Transfer>& sends,
                                                       const std::vector<Transfer>& receives) {
  constexpr int kTag = kLargestTag + 1;
  std::vector<std::unique_ptr<Pending>> parts;
  for (const auto& [view, peer] : receives) parts.push_back(start_receive(view, peer, kTag));
  for (const auto& [view, peer] : sends) parts.push_back(start_send(view, peer, kTag));
  return std::make_unique<AllOf>(std::move(parts));
}

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
