#include "eval/first_state.h"

#include <vector>

namespace longhaul::eval {

model::RecurrentState first_state(const model::LanguageModel& model,
                                  const model::RecurrentState* start, int64_t batch) {
  model::RecurrentState state = model.make_state(batch);
  if (start != nullptr) {
    state.gather(model.context(), std::vector<int32_t>(static_cast<size_t>(batch), 0), start);
  }
  return state;
}

}  // namespace longhaul::eval
