#include "tests/trainer/tiny_run.h"

#include <gtest/gtest.h>

#include <mutex>
#include <sstream>

#include "data/recall_task.h"
#include "dist/thread_communicator.h"
#include "kernels/core/random.h"
#include "model/checkpoint/safetensors.h"
#include "model/init.h"
#include "tests/support/random_tensor.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::testing {

namespace {

constexpr data::RecallTask kRecall{.keys = 6, .values = 4, .reach = 3};

/// Tells of every batch.
class WatchedSource final : public data::BatchSource {
 public:
  WatchedSource(std::unique_ptr<data::BatchSource> source,
                std::function<void(const data::Batch&)> tell)
      : source_(std::move(source)), tell_(std::move(tell)) {}
  data::Batch next() override {
    data::Batch batch = source_->next();
    tell_(batch);
    return batch;
  }
  std::string position() const override { return source_->position(); }
  void restore(const std::string& position) override { source_->restore(position); }
  int64_t vocabulary() const override { return source_->vocabulary(); }

 private:
  std::unique_ptr<data::BatchSource> source_;
  std::function<void(const data::Batch&)> tell_;
};

int32_t token_at(int64_t row, int64_t position) {
  const core::RandomKey key{99, static_cast<uint64_t>(row), core::RandomPurpose::kTest};
  return static_cast<int32_t>(core::uniform_below(key, static_cast<uint64_t>(position), 10));
}

}  // namespace

int64_t StreamSource::vocabulary() const { return 10; }

data::Batch StreamSource::next() {
  data::Batch batch{.sequences = rows_, .length = length_, .tokens = {}, .labels = {}, .fresh = {}};
  for (int64_t row = 0; row < rows_; ++row) {
    const int64_t global = first_row_ + row;
    for (int64_t i = 0; i < length_; ++i) {
      const int64_t position = step_ * length_ + i;
      batch.tokens.push_back(token_at(global, position));
      batch.labels.push_back((position + global) % 5 == 4 ? -1 : token_at(global, position + 1));
    }
    const bool is_fresh = step_ == 0 || (fresh_every_ > 0 && (step_ + global) % fresh_every_ == 0);
    batch.fresh.push_back(is_fresh ? 1 : 0);
  }
  ++step_;
  return batch;
}

model::ModelConfig tiny_run_model() {
  model::ModelConfig config;
  config.vocabulary = 10;
  config.width = 6;
  config.layers = 2;
  config.heads = 2;
  config.head_dim = 3;
  config.state_dim = 4;
  config.groups = 1;
  config.chunk = 4;
  return config;
}

trainer::TrainerConfig TinyRun::tiny_trainer_config() {
  trainer::TrainerConfig config;
  config.optimizer.rate = 0.02;
  config.schedule = {.kind = trainer::ScheduleKind::kCosine, .steps = 5, .warmup = 1};
  config.batch = {.length = 12, .sequences = 4};
  config.exchange = dist::ExchangeAlgorithm::kChain;
  config.bucket_bytes = 512;
  config.seed = 17;
  config.log_every = 0;
  config.configuration_hash = 1;
  return config;
}

trainer::Ending TinyRun::train(const std::filesystem::path& folder) const {
  std::mutex mutex;
  std::vector<trainer::Ending> endings;
  dist::run_thread_ranks(mesh.data * mesh.sequence, [&](dist::Communicator& world) {
    core::Context context(device, 1);
    const dist::Mesh own_mesh(world, mesh);
    model::LanguageModel model(context, tiny_run_model(), dtype);
    model::initialize(model, 3);
    const int64_t rows = config.batch.sequences / (config.batch.accumulation * mesh.data);
    std::unique_ptr<data::BatchSource> batches;
    if (recall) {
      const bool lanes = config.initial_state.source == trainer::SourceKind::kTbtt;
      batches = data::make_recall_source(kRecall, config.batch.length, 8,
                                         {mesh.data, own_mesh.data_rank(), rows}, lanes);
    } else {
      batches = std::make_unique<StreamSource>(rows, config.batch.length,
                                               own_mesh.data_rank() * rows, fresh_every);
    }
    if (on_batch && own_mesh.sequence_rank() == 0) {
      batches = std::make_unique<WatchedSource>(
          std::move(batches), [&, data_rank = own_mesh.data_rank()](const data::Batch& batch) {
            const std::lock_guard lock(mutex);
            on_batch(data_rank, batch);
          });
    }
    int64_t step = 0;
    const trainer::Ending ending = trainer::train(
        config,
        {.context = context,
         .mesh = own_mesh,
         .model = model,
         .batches = *batches,
         .run_folder = folder,
         .evaluate = evaluate,
         .interrupted =
             [&] {
               return interrupt_at > 0 && step == interrupt_at && world.rank() + 1 == world.size();
             },
         .activity =
             [&](const std::string& activity) {
               step = std::stoll(activity.substr(std::string("step ").size()));
               if (before_step) before_step(world.rank(), step, model);
             }},
        trainer::checkpoint_to_resume(folder, world,
                                      !resume        ? trainer::Resume::kNo
                                      : skip_damaged ? trainer::Resume::kNewestSound
                                                     : trainer::Resume::kNewest));
    const std::lock_guard lock(mutex);
    endings.push_back(ending);
  });
  for (const trainer::Ending ending : endings) EXPECT_EQ(ending, endings.front());
  return endings.front();
}

std::vector<double> metric(const std::filesystem::path& folder, const std::string& name) {
  std::vector<double> numbers;
  for (const trainer::Record& record : trainer::read_metrics(folder / "metrics.jsonl")) {
    for (const auto& [key, value] : record.values) {
      if (record.kind == "train" && key == name) numbers.push_back(value);
    }
  }
  return numbers;
}

std::string timeless_metrics(const std::filesystem::path& folder) {
  std::ostringstream all;
  all.precision(17);
  for (const trainer::Record& record : trainer::read_metrics(folder / "metrics.jsonl")) {
    all << record.kind << " " << record.step << " " << record.tokens << " " << record.text;
    for (const auto& [name, value] : record.values) {
      if (!name.ends_with("_per_second") && !name.ends_with("seconds") && name != "utilisation") {
        all << " " << name << "=" << value;
      }
    }
    all << "\n";
  }
  return all.str();
}

std::map<std::string, std::vector<double>> tensors_of(const std::filesystem::path& file) {
  const model::SafetensorsFile stored(file);
  std::map<std::string, std::vector<double>> tensors;
  for (const model::StoredTensor& tensor : stored.tensors()) {
    std::vector<double>& values = tensors[tensor.name];
    values.resize(static_cast<size_t>(tensor.shape.elements()));
    stored.read_as(tensor,
                   {values.data(), core::DType::kF64, {static_cast<int64_t>(values.size())}});
  }
  return tensors;
}

}  // namespace longhaul::testing
