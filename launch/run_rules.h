// Rules across the fields of a run's configuration.
#pragma once

#include "launch/run_config.h"

namespace longhaul::launch {

class YamlDocument;

/// Combinations that no number of ranks makes possible; reported in the document.
void check_rules(const RunConfig& config, YamlDocument& document);

/// Data ranks of a world of `ranks`: parallel.data, or what parallel.sequence leaves of them.
int64_t data_ranks(const RunConfig& config, int64_t ranks);

/// What depends on the number of ranks; throws InputError listing every problem.
void check_against_world(const RunConfig& config, int64_t ranks);

}  // namespace longhaul::launch
