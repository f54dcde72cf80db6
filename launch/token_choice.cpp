#include "launch/token_choice.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/core/error.h"
#include "kernels/core/random.h"

namespace longhaul::launch {

int32_t choose_token(const std::vector<double>& logits, const TokenChoice& choice,
                     int64_t position) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](int32_t i) { return !std::isfinite(logits[static_cast<size_t>(i)]); });
  if (order.empty()) throw core::Error("the model's logits are not finite");
  const auto logit = [&](int32_t token) { return logits[static_cast<size_t>(token)]; };
  const auto before = [&](int32_t a, int32_t b) {
    return logit(a) > logit(b) || (logit(a) == logit(b) && a < b);
  };
  if (choice.temperature <= 0) return *std::min_element(order.begin(), order.end(), before);
  std::sort(order.begin(), order.end(), before);
  if (choice.top_k > 0 && choice.top_k < static_cast<int64_t>(order.size())) {
    order.resize(static_cast<size_t>(choice.top_k));
  }
  std::vector<double> upto;
  double total = 0;
  for (const int32_t token : order) {
    total += std::exp((logit(token) - logit(order.front())) / choice.temperature);
    upto.push_back(total);
  }
  const core::RandomKey key{.seed = choice.seed, .purpose = core::RandomPurpose::kGeneration};
  const double draw = core::uniform(key, static_cast<uint64_t>(position)) * total;
  const auto found = std::upper_bound(upto.begin(), upto.end(), draw);
  return order[static_cast<size_t>(
      std::min<int64_t>(found - upto.begin(), static_cast<int64_t>(order.size()) - 1))];
}

}  // namespace longhaul::launch
