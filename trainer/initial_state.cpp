#include "trainer/initial_state.h"

#include <glog/logging.h>

#include "trainer/sources/sources.h"

namespace longhaul::trainer {

int states_held(SourceKind kind) {
  return kind == SourceKind::kStatePassing ? 2 : 1;  // what was passed, and what is handed out
}

std::unique_ptr<InitialStateSource> make_source(const InitialStateConfig& config,
                                                const SourceSetup& setup) {
  switch (config.source) {
    case SourceKind::kZero:
      return make_zero_source(setup);
    case SourceKind::kNoise:
      return make_noise_source(config, setup);
    case SourceKind::kFittedNoise:
      return make_fitted_noise_source(config, setup);
    case SourceKind::kStatePassing:
      return make_state_passing_source(config, setup);
    case SourceKind::kTbtt:
      return make_tbtt_source(config, setup);
  }
  LOG(FATAL) << "no such source: " << static_cast<int>(config.source);
}

}  // namespace longhaul::trainer
