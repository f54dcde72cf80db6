// A checkpoint's tensors held against the parameters that its configuration asks for.
#pragma once

#include <string>
#include <vector>

#include "model/checkpoint/tensor_stream.h"
#include "model/parameters.h"

namespace longhaul::model {

/// One tensor for each of `parameters`, in their order and by their names. `where` is the file or
/// folder, for messages. Throws InputError naming every missing, unexpected, repeated, mis-shaped
/// and mis-typed tensor. `tied`: a stored lm_head is welcome if it equals the embedding (which is
/// compared, unless they are `head_is_shared`: known to be the same elements).
std::vector<TensorStream> match_parameters(const std::string& where,
                                           const std::vector<TensorStream>& tensors,
                                           const std::vector<Parameter>& parameters, bool tied,
                                           bool head_is_shared = false);

}  // namespace longhaul::model
