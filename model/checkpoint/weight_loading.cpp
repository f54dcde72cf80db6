#include "model/checkpoint/parameter_matching.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

void fill_parameters(const std::vector<TensorStream>& tensors, const ParameterSet& parameters) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    read_whole(tensors[i], parameters.value(parameters.list()[i]));
  }
  parameters.update_rounded();
}

void load_weights(const std::filesystem::path& folder, bool tied, const ParameterSet& parameters) {
  const StoredWeights weights = open_weights(folder, tied);
  fill_parameters(match_parameters(folder.string(), weights.file->tensors(), parameters.list(),
                                   tied, weights.head_is_shared),
                  parameters);
}

}  // namespace longhaul::model
