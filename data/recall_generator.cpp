#include "data/recall_generator.h"

#include <algorithm>
#include <limits>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
/// Visits a task's fields and holds each against its rule.
struct RuleChecker {
  core::Problems problems;
  template <class T>
  void field(const char*, T&, const char*) {}
  template <class T, class Rule>
  void field(const char* name, T& value, const char*, Rule rule) {
    const std::string why = rule(value);
    if (!why.empty())
      problems.push_back(core::message("recall task: ", name, ": ", why, ", is ", value));
  }
};
}  // namespace

void check_task(const RecallTask& task) {
  RuleChecker checker;
  RecallTask copy = task;
  copy.visit(checker);
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() / 2;
  for (const auto& [name, value] : {std::pair{"keys", task.keys}, {"values", task.values}})
    if (value > kMost)
      checker.problems.push_back(
          core::message("recall task: ", name, ": must be at most ", kMost, ", is ", value));
  // A binding takes a key that is not among the last `reach`.
  if (task.keys <= task.reach)
    checker.problems.push_back(core::message("recall task: keys: must be more than reach (",
                                             task.reach, "), is ", task.keys));
  if (!checker.problems.empty()) throw core::InputError(std::move(checker.problems));
}

void check_recall_length(int64_t length) {
  if (length < 2 || length % 2 != 0)
    throw core::InputError(core::message("recall task: sequence length is ", length,
                                         ", expected an even number (pairs of key and value)"));
}

RecallGenerator::RecallGenerator(const RecallTask& task, core::RandomKey key, uint64_t first_draw)
    : task_(task),
      key_(key),
      first_draw_(first_draw),
      window_(static_cast<size_t>(task.reach)),
      last_pair_(static_cast<size_t>(task.keys), -1),
      value_(static_cast<size_t>(task.keys), 0) {
  draw_pair();
}

bool RecallGenerator::is_recent(int64_t key) const {
  const int64_t last = last_pair_[static_cast<size_t>(key)];
  return last >= 0 && last >= pairs_ - task_.reach;
}

void RecallGenerator::draw_pair() {
  const bool want_query = core::uniform(key_, first_draw_ + draws_++) < task_.query_fraction;
  query_ = pairs_ > 0 && want_query;
  int64_t key = 0;
  if (query_) {
    // Uniform over distinct keys: a pair counts only if it is its key's last.
    const int64_t oldest = std::max<int64_t>(0, pairs_ - task_.reach);
    int64_t pair = 0;
    do {
      pair = oldest + static_cast<int64_t>(below(pairs_ - oldest));
      key = window_key(pair);
    } while (last_pair_[static_cast<size_t>(key)] != pair);
  } else {
    do key = static_cast<int64_t>(below(task_.keys));
    while (is_recent(key));
    value_[static_cast<size_t>(key)] = static_cast<int32_t>(below(task_.values));
  }
  window_key(pairs_) = static_cast<int32_t>(key);
  last_pair_[static_cast<size_t>(key)] = pairs_;
  ++pairs_;
}

void RecallGenerator::write(int64_t pairs, int32_t* tokens, int32_t* labels) {
  const auto first_key = static_cast<int32_t>(task_.values);
  for (int64_t i = 0; i < pairs; ++i) {
    const int32_t key = window_key(pairs_ - 1);
    const int32_t value = value_[static_cast<size_t>(key)];
    const bool asked = query_ || task_.label_all;
    draw_pair();
    tokens[2 * i] = first_key + key;
    tokens[2 * i + 1] = value;
    labels[2 * i] = asked ? value : -1;
    labels[2 * i + 1] = task_.label_all ? first_key + window_key(pairs_ - 1) : -1;
  }
}

RecallGenerator::State RecallGenerator::state() const {
  State state{.pairs = pairs_, .draws = draws_, .query = query_};
  for (int64_t pair = std::max<int64_t>(0, pairs_ - task_.reach); pair < pairs_; ++pair) {
    const int32_t key = window_[static_cast<size_t>(pair % task_.reach)];
    state.window_keys.push_back(key);
    state.window_values.push_back(value_[static_cast<size_t>(key)]);
  }
  return state;
}

void RecallGenerator::restore(const State& state) {
  const auto refuse = [](const auto&... why) {
    throw core::InputError(core::message("data position: stream of the recall task: ", why...));
  };
  constexpr int64_t kMostPairs = int64_t{1} << 60;
  if (state.pairs < 1 || state.pairs > kMostPairs)
    refuse("has ", state.pairs, " pairs, expected from 1 to ", kMostPairs);
  const int64_t size = std::min(state.pairs, task_.reach);
  if (std::ssize(state.window_keys) != size || std::ssize(state.window_values) != size)
    refuse("has ", state.window_keys.size(), " keys and ", state.window_values.size(),
           " values, expected ", size, " of both");
  for (size_t i = 0; i < state.window_keys.size(); ++i) {
    const int32_t key = state.window_keys[i], value = state.window_values[i];
    if (key < 0 || key >= task_.keys || value < 0 || value >= task_.values)
      refuse("holds key ", key, " and value ", value, ", expected less than ", task_.keys, " and ",
             task_.values);
  }
  std::fill(last_pair_.begin(), last_pair_.end(), -1);
  for (int64_t i = 0; i < size; ++i) {
    const int64_t pair = state.pairs - size + i;
    const int32_t key = state.window_keys[static_cast<size_t>(i)];
    window_key(pair) = key;
    last_pair_[static_cast<size_t>(key)] = pair;
    value_[static_cast<size_t>(key)] = state.window_values[static_cast<size_t>(i)];
  }
  pairs_ = state.pairs;
  draws_ = state.draws;
  query_ = state.query;
}

}  // namespace longhaul::data
