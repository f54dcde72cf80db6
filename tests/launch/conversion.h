// `longhaul import` and `export`, and what is in the models they write.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/safetensors.h"
#include "tests/launch/program.h"

namespace longhaul::launch {

class Conversion : public Program {
 protected:
  std::vector<char> weights_of(const std::string& name) {
    core::Context context{core::Device{}, 1};
    const auto model = model::load_model(context, folder_ / name);
    const auto view = model->parameters().values();
    const auto* bytes = static_cast<const char*>(view.raw());
    return {bytes, bytes + view.bytes()};
  }
  std::map<std::string, std::vector<double>> tensors_of(const std::string& name) const {
    const model::SafetensorsFile file(folder_ / name);
    std::map<std::string, std::vector<double>> tensors;
    for (const auto& stored : file.tensors()) {
      auto& values = tensors[stored.name];
      values.resize(static_cast<size_t>(stored.shape.elements()));
      file.read_as(stored, core::TensorView(values.data(), core::DType::kF64, stored.shape));
    }
    return tensors;
  }
  void expect_done(const std::string& arguments, const std::string& text) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 0) << arguments << "\n" << result.err;
    EXPECT_EQ(result.err, "") << arguments;
    EXPECT_THAT(result.out, ::testing::HasSubstr(text)) << arguments;
  }
};

}  // namespace longhaul::launch
