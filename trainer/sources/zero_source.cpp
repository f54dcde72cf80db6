#include "trainer/sources/sources.h"

namespace longhaul::trainer {

namespace {

class ZeroSource final : public InitialStateSource {
 public:
  explicit ZeroSource(const SourceSetup& setup)
      : state_(setup.context, setup.specs, setup.state_dtype, setup.batch) {}

  const model::RecurrentState& initial(const SourceStep&) override { return state_; }
  void keep(const SourceStep&, const model::RecurrentState&) override {}
  bool uses_final_states() const override { return false; }
  std::vector<NamedTensor> stored() override { return {}; }

 private:
  model::RecurrentState state_;
};

}  // namespace

std::unique_ptr<InitialStateSource> make_zero_source(const SourceSetup& setup) {
  return std::make_unique<ZeroSource>(setup);
}

}  // namespace longhaul::trainer
