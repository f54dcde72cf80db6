// Truncated backpropagation through time: a row starts where its lane's last segment ended, or from
// zero where the data says that it does not continue it.
#include <glog/logging.h>

#include "trainer/sources/sources.h"

namespace longhaul::trainer {

namespace {

class TbttSource final : public InitialStateSource {
 public:
  TbttSource(const InitialStateConfig& config, const SourceSetup& setup)
      : setup_(setup),
        carry_conv_(config.tbtt_conv),
        carried_(setup.context, setup.specs, setup.state_dtype, setup.batch) {}

  const model::RecurrentState& initial(const SourceStep& step) override {
    CHECK(step.fresh != nullptr);
    CHECK_EQ(static_cast<int64_t>(step.fresh->size()), setup_.batch);
    carried_.zero_sequences(setup_.context, *step.fresh);
    return carried_;
  }

  void keep(const SourceStep&, const model::RecurrentState& final_state) override {
    for (size_t i = 0; i < setup_.specs.size(); ++i) {
      if (setup_.specs[i].kind == model::StateKind::kRecurrent || carry_conv_) {
        core::copy(setup_.context, final_state[i], carried_[i]);
      }
    }
  }

  bool uses_final_states() const override { return true; }

  std::vector<NamedTensor> stored() override {
    return stored_rows(setup_.specs, carried_, "carried", carry_conv_);
  }

 private:
  SourceSetup setup_;
  bool carry_conv_;
  model::RecurrentState carried_;
};

}  // namespace

std::unique_ptr<InitialStateSource> make_tbtt_source(const InitialStateConfig& config,
                                                     const SourceSetup& setup) {
  return std::make_unique<TbttSource>(config, setup);
}

}  // namespace longhaul::trainer
