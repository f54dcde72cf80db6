#include "trainer/step_report.h"

#include <glog/logging.h>

#include <algorithm>

#include "kernels/core/error.h"
#include "trainer/all_ranks.h"

namespace longhaul::trainer {

StepReport::StepReport(const TrainerConfig& config, const TrainerParts& parts, int64_t resumed_at)
    : log_every_(config.log_every),
      last_step_(config.schedule.steps),
      flops_per_token_(3 * parts.model.flops_per_token()),
      peak_flops_(config.peak_flops * parts.mesh.world().size()) {
  on_all_ranks(parts.mesh.world(), [&] {
    if (parts.mesh.world().rank() != 0) return;
    outlets_.reset(new Outlets{MetricsWriter(parts.run_folder, resumed_at),
                               ProgressLines(std::max<int64_t>(0, resumed_at), last_step_)});
  });
}

void StepReport::step(const TrainingState& state, const StepNumbers& numbers) {
  if (!outlets_) return;
  const double speed = static_cast<double>(numbers.tokens) / numbers.seconds;
  Record record{
      .kind = "train", .step = state.step, .tokens = state.tokens, .values = {}, .text = {}};
  record.values = {{"loss", numbers.loss},
                   {"gradient_norm", numbers.gradient_norm},
                   {"rate", numbers.rate},
                   {"state_norm", numbers.state_norm},
                   {"skipped", numbers.skipped ? 1.0 : 0.0},
                   {"tokens_per_second", speed}};
  if (peak_flops_ > 0) {
    record.values.emplace_back("utilisation", flops_per_token_ * speed / peak_flops_);
  }
  outlets_->metrics.write(record);
  const bool is_shown =
      log_every_ > 0 && (state.step % log_every_ == 0 || state.step == last_step_);
  if (is_shown) outlets_->lines.show(record);
  if (numbers.skipped) {
    const std::string text =
        core::message("step ", state.step, " was skipped: loss ", numbers.loss, ", gradient norm ",
                      numbers.gradient_norm, "; ", state.skipped_in_row, " in a row");
    LOG(WARNING) << text;
    outlets_->metrics.write({"event", state.step, state.tokens, {}, text});
  }
}

void StepReport::evaluation(const TrainingState& state,
                            const std::vector<std::pair<std::string, double>>& values) {
  if (outlets_) outlets_->metrics.write({"evaluation", state.step, state.tokens, values, ""});
}

void StepReport::flush() {
  if (outlets_) outlets_->metrics.flush();
}

}  // namespace longhaul::trainer
