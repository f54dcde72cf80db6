#include "trainer/step_report.h"

#include <glog/logging.h>

#include <algorithm>

#include "dist/all_ranks.h"
#include "kernels/core/error.h"

namespace longhaul::trainer {

std::string place_of(const std::vector<std::string>& hosts, int rank) {
  const auto place = static_cast<size_t>(rank);
  return core::message("rank ", rank, place < hosts.size() ? " (host " + hosts[place] + ")" : "");
}

Numbers train_numbers(const StepNumbers& numbers, double utilisation) {
  Numbers named;
  if (numbers.loss) named.emplace_back("loss", *numbers.loss);
  named.insert(named.end(),
               {{"gradient_norm", numbers.gradient_norm},
                {"rate", numbers.rate},
                {"state_norm", numbers.state_norm},
                {"skipped", numbers.skipped ? 1.0 : 0.0},
                {"tokens_per_second", static_cast<double>(numbers.tokens) / numbers.seconds},
                {"data_seconds", numbers.data_seconds}});
  if (utilisation > 0) named.emplace_back("utilisation", utilisation);
  return named;
}

StepReport::StepReport(const TrainerConfig& config, const TrainerParts& parts, int64_t resumed_at)
    : world_(parts.mesh.world()),
      hosts_(parts.hosts),
      log_every_(config.log_every),
      last_step_(config.schedule.steps),
      flops_per_token_(3 * parts.model.flops_per_token()),
      peak_flops_(parts.mesh.world().sum(config.peak_flops)) {
  dist::on_all_ranks(parts.mesh.world(), "opening the metrics", [&] {
    if (parts.mesh.world().rank() != 0) return;
    outlets_.reset(new Outlets{MetricsWriter(parts.run_folder, resumed_at),
                               ProgressLines(std::max<int64_t>(0, resumed_at), last_step_)});
  });
}

void StepReport::step(const TrainingState& state, const StepNumbers& numbers) {
  if (!outlets_) return;
  const double flops = flops_per_token_ * static_cast<double>(numbers.tokens) / numbers.seconds;
  const Record record{.kind = "train",
                      .step = state.step,
                      .tokens = state.tokens,
                      .values = train_numbers(numbers, peak_flops_ > 0 ? flops / peak_flops_ : 0),
                      .text = {}};
  outlets_->metrics.write(record);
  const bool is_shown =
      log_every_ > 0 && (state.step % log_every_ == 0 || state.step == last_step_);
  if (is_shown) outlets_->lines.show(record);
  if (numbers.skipped) {
    const std::string text = core::message(
        "step ", state.step, " was skipped: loss ", numbers.loss.value_or(0), ", gradient norm ",
        numbers.gradient_norm, numbers.origin, "; ", state.skipped_in_row, " in a row");
    LOG(WARNING) << text;
    outlets_->metrics.write({"event", state.step, state.tokens, {}, text});
  }
}

void StepReport::rank_times(const TrainingState& state, const std::vector<double>& seconds) {
  if (!outlets_) return;
  const auto times = [&](int rank) {
    return core::message(place_of(hosts_, rank), ": own work takes ",
                         seconds[static_cast<size_t>(rank)] / stragglers_.median(),
                         " times the median of the ranks");
  };
  for (const StragglerDetector::Change& change : stragglers_.add(seconds)) {
    LOG(WARNING) << "step " << state.step << ": "
                 << (change.slow
                         ? times(change.rank) + ", and did before"
                         : place_of(hosts_, change.rank) + ": is as fast as the others again");
  }
  const int slowest = stragglers_.slowest();
  Record record{.kind = "ranks",
                .step = state.step,
                .tokens = state.tokens,
                .values = {{"median_seconds", stragglers_.median()},
                           {"slowest_seconds", seconds[static_cast<size_t>(slowest)]},
                           {"slowest_rank", static_cast<double>(slowest)}},
                .text = {}};
  for (const int rank : stragglers_.stragglers()) {
    record.text += (record.text.empty() ? "" : "; ") + times(rank);
  }
  outlets_->metrics.write(record);
}

void StepReport::evaluation(const TrainingState& state,
                            const std::vector<std::pair<std::string, double>>& values) {
  if (!outlets_) return;
  const Record record{"evaluation", state.step, state.tokens, values, ""};
  outlets_->metrics.write(record);
  outlets_->lines.show_evaluation(record);
}

void StepReport::skipped_end(const TrainingState& state) {
  if (!outlets_) return;
  const std::string text = core::message("the run ends with ", state.skipped_in_row,
                                         " skipped steps in a row: the model is the one that step ",
                                         state.step - state.skipped_in_row, " left");
  LOG(WARNING) << text;
  outlets_->metrics.write({"event", state.step, state.tokens, {}, text});
}

void StepReport::lost_checkpoint(const TrainingState& state, const std::string& why) {
  if (!outlets_) return;
  const std::string text = core::message(
      "a checkpoint could not be written, the run goes on and tries again at the next one: ", why);
  LOG(WARNING) << "step " << state.step << ": " << text;
  outlets_->metrics.write({"event", state.step, state.tokens, {}, text});
}

void StepReport::flush() {
  if (!outlets_) return;
  const dist::Busy busy(world_, "writing metrics");
  outlets_->metrics.flush();
}

}  // namespace longhaul::trainer
