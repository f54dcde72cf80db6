#include <algorithm>

#include "eval/sequence_means.h"
#include "eval/stored_json.h"
#include "eval/tasks.pb.h"
#include "eval/tasks/task_result.h"
#include "eval/tasks/task_scoring.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr int kFormatVersion = 1;

bool is_share(double value) { return value >= 0 && value <= 1; }

/// What is wrong with a result that parsed, or "".
std::string flaw(const proto::TaskResult& result) {
  if (find_task_scoring(result.task()) == nullptr) {
    std::string known;
    for (const auto& each : task_scorings()) {
      known += (known.empty() ? "'" : ", '") + each->name() + "'";
    }
    return "task is '" + result.task() + "', expected one of " + known;
  }
  if (result.cells().empty()) return "has no cells";
  for (int i = 0; i < result.cells_size(); ++i) {
    const proto::TaskCell& cell = result.cells(i);
    const bool shares = is_share(cell.accuracy()) && is_share(cell.exact()) &&
                        is_share(cell.low()) && is_share(cell.high()) &&
                        is_share(cell.depth_low()) && is_share(cell.depth_high());
    if (!shares) return core::message("cell ", i, " holds a share that is not from 0 to 1");
    if (cell.length() < 0 || cell.trials() < 0 || cell.depth_low() > cell.depth_high()) {
      return core::message("cell ", i, " has length ", cell.length(), ", ", cell.trials(),
                           " trials and depths ", cell.depth_low(), " to ", cell.depth_high());
    }
    const bool all_shares = std::all_of(cell.scores().begin(), cell.scores().end(), is_share);
    if (!all_shares || (!cell.scores().empty() && cell.scores_size() != cell.trials())) {
      return core::message("cell ", i, " holds ", cell.scores_size(), " scores, expected ",
                           cell.trials(), " from 0 to 1");
    }
  }
  return "";
}

TaskCell cell_of(const proto::TaskCell& from) {
  TaskCell cell{.part = from.part(),
                .length = from.length(),
                .depth_low = from.depth_low(),
                .depth_high = from.depth_high(),
                .trials = from.trials()};
  if (cell.trials == 0) return cell;
  cell.accuracy = from.accuracy();
  cell.exact = from.exact();
  cell.low = from.low();
  cell.high = from.high();
  cell.scores = {from.scores().begin(), from.scores().end()};
  return cell;
}

}  // namespace

void write_task_result(const std::filesystem::path& file, const TaskResult& result) {
  proto::TaskResult out;
  out.set_format_version(kFormatVersion);
  out.set_task(result.task);
  out.set_model(result.model);
  out.set_training_length(result.training_length);
  out.set_seed(result.seed);
  out.set_trials_asked(result.trials_asked);
  store_identity(result.measured, *out.mutable_measured());
  int64_t scores = 0;
  for (const TaskCell& cell : result.cells) scores += std::ssize(cell.scores);
  for (const TaskCell& cell : result.cells) {
    proto::TaskCell& to = *out.add_cells();
    to.set_part(cell.part);
    to.set_length(cell.length);
    to.set_depth_low(cell.depth_low);
    to.set_depth_high(cell.depth_high);
    to.set_trials(cell.trials);
    if (cell.trials == 0) continue;
    to.set_accuracy(cell.accuracy);
    to.set_exact(cell.exact);
    to.set_low(cell.low);
    to.set_high(cell.high);
    if (scores > kMostSequenceMeans) continue;
    to.mutable_scores()->Add(cell.scores.begin(), cell.scores.end());
  }
  write_json(file, out);
}

TaskResult read_task_result(const std::filesystem::path& file) {
  const auto from = read_evaluation<proto::TaskResult>(file, kFormatVersion, flaw);
  TaskResult result{.task = from.task(),
                    .model = from.model(),
                    .training_length = from.training_length(),
                    .seed = from.seed(),
                    .trials_asked = from.trials_asked(),
                    .measured = identity_of(from.measured()),
                    .cells = {}};
  for (const proto::TaskCell& cell : from.cells()) result.cells.push_back(cell_of(cell));
  return result;
}

}  // namespace longhaul::eval
