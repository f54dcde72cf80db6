// Whole runs of a tiny model on the device: the loss follows the CPU's, and a resumed run is the
// uninterrupted one bit for bit.
#include <filesystem>

#include "tests/kernels/device/device_test.h"
#include "tests/trainer/tiny_run.h"

namespace longhaul::testing {
namespace {

namespace fs = std::filesystem;
using core::DType;

class TrainingOnDevice : public DeviceTest {
 protected:
  TrainingOnDevice()
      : folder_(fs::temp_directory_path() / ("longhaul_device_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
  }
  ~TrainingOnDevice() override { fs::remove_all(folder_); }
  fs::path folder(const std::string& name) const { return folder_ / name; }

 private:
  fs::path folder_;
};

TEST_F(TrainingOnDevice, LossFollowsTheCpu) {
  for (const auto source : {trainer::SourceKind::kZero, trainer::SourceKind::kNoise,
                            trainer::SourceKind::kStatePassing}) {
    TinyRun run;
    run.config.initial_state.source = source;
    const std::string name = std::to_string(static_cast<int>(source));
    run.train(folder("cpu" + name));
    run.device = kCuda;
    for (const auto& [dtype, tolerance] : {std::pair{DType::kF32, 1e-5}, {DType::kBF16, 1e-2}}) {
      run.dtype = dtype;
      const fs::path own = folder(std::string(core::name_of(dtype)) + name);
      run.train(own);
      EXPECT_TRUE(close(metric(own, "loss"), metric(folder("cpu" + name), "loss"), tolerance));
    }
  }
}

TEST_F(TrainingOnDevice, AResumedRunIsTheUninterruptedOne) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    TinyRun run;
    run.dtype = dtype;
    run.device = kCuda;
    run.config.initial_state.source = trainer::SourceKind::kStatePassing;
    const std::string name(core::name_of(dtype));
    run.train(folder("whole" + name));
    TinyRun first = run;
    first.interrupt_at = 3;
    EXPECT_EQ(first.train(folder("parts" + name)), trainer::Ending::kInterrupted);
    run.resume = true;
    run.train(folder("parts" + name));
    const auto weights = [&](const std::string& which) {
      return tensors_of(folder(which + name) / "checkpoints/step-5/model.safetensors");
    };
    EXPECT_EQ(weights("parts"), weights("whole"));
  }
}

TEST_F(TrainingOnDevice, RecordedPassesAreTheOthersBitForBit) {
  struct Case {
    const char* name;
    trainer::SourceKind source;
    DType dtype;
    int64_t segments, accumulation;
    bool recompute;
  };
  for (const Case& c :
       {Case{"plain", trainer::SourceKind::kZero, DType::kBF16, 1, 1, false},
        Case{"segments", trainer::SourceKind::kTbtt, DType::kF32, 2, 1, false},
        Case{"accumulation", trainer::SourceKind::kStatePassing, DType::kF32, 1, 2, false},
        Case{"both", trainer::SourceKind::kTbtt, DType::kBF16, 2, 2, false},
        Case{"recompute", trainer::SourceKind::kNoise, DType::kBF16, 1, 1, true}}) {
    SCOPED_TRACE(c.name);
    const std::string name = c.name;
    TinyRun run;
    run.device = kCuda;
    run.dtype = c.dtype;
    run.config.schedule.steps = 3;  // as they are, recorded, launched again
    run.config.initial_state.source = c.source;
    run.config.batch.segments = c.segments;
    run.config.batch.accumulation = c.accumulation;
    run.config.batch.recompute = c.recompute;
    run.train(folder("kernels" + name));
    run.config.cuda_graphs = true;
    run.train(folder("graphs" + name));
    for (const char* part : {"loss", "gradient_norm", "state_norm"}) {
      const std::vector<double> recorded = metric(folder("graphs" + name), part);
      EXPECT_EQ(recorded.size(), 3u);
      EXPECT_EQ(recorded, metric(folder("kernels" + name), part));
    }
    const auto weights = [&](const std::string& which) {
      return tensors_of(folder(which + name) / "checkpoints/step-3/model.safetensors");
    };
    EXPECT_EQ(weights("graphs"), weights("kernels"));
  }
}

}  // namespace
}  // namespace longhaul::testing
