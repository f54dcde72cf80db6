// A run's YAML as a question.
#pragma once

#include <string>
#include <vector>

#include "bench/scaling/prediction.h"
#include "launch/run_config.h"

namespace longhaul::bench {

/// Owns what the question refers to. Device and network must outlive it.
class RunQuestion {
 public:
  /// Reads run's YAML and `key.path=value` overrides as `longhaul train` does; InputError.
  RunQuestion(const std::string& path, const std::vector<std::string>& overrides, int64_t ranks);

  /// An exchange that is chosen at start is taken as the fastest.
  Prediction predict(const Network& network, const Device& device) const;

 private:
  launch::RunConfig config_;
  model::ModelConfig shape_;
};

}  // namespace longhaul::bench
