#include "launch/evaluation_numbers.h"

namespace longhaul::launch {

trainer::Numbers evaluation_numbers(const eval::PositionCurve& curve) {
  trainer::Numbers numbers{
      {"loss", curve.loss}, {"perplexity", curve.perplexity}, {"accuracy", curve.accuracy}};
  if (!curve.buckets.empty()) numbers.emplace_back("loss_at_end", curve.buckets.back().loss);
  return numbers;
}

}  // namespace longhaul::launch
