#include "trainer/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "kernels/core/error.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "trainer/step_batches.h"
#include "trainer/step_report.h"

namespace longhaul::trainer {
namespace {

using testing::content_of;
using ::testing::HasSubstr;
using testing::ScratchFolder;

void append(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary | std::ios::app) << text;
}

Record train_record(int64_t step) {
  return {.kind = "train",
          .step = step,
          .tokens = step * 1000,
          .values = {{"loss", 1.0 / 3 + static_cast<double>(step)}, {"gradient_norm", 0.1}},
          .text = {}};
}

TEST(Metrics, RecordsComeBackExactly) {
  const ScratchFolder folder;
  const double tiny = std::numeric_limits<double>::denorm_min();
  const std::vector<Record> written = {
      {"train", 1, int64_t{1} << 60, {{"loss", 0.1 + 0.2}, {"rate", tiny}, {"skipped", 0}}, ""},
      {"evaluation", 1, 5, {{"loss", -1.0 / 3}, {"perplexity at 4096", 1e300}, {"b", -0.0}}, ""},
      {"event", 2, 6, {}, "a \"text\"\nwith μ and \\ in it"}};
  {
    MetricsWriter writer(folder.path(), -1);
    for (const Record& record : written) writer.write(record);
  }
  const std::vector<Record> read = read_metrics(folder.path() / "metrics.jsonl");
  ASSERT_EQ(read.size(), written.size());
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].kind, written[i].kind);
    EXPECT_EQ(read[i].step, written[i].step);
    EXPECT_EQ(read[i].tokens, written[i].tokens);
    EXPECT_EQ(read[i].values, written[i].values);
    EXPECT_EQ(read[i].text, written[i].text);
  }
}

TEST(Metrics, NumbersThatAreNotFiniteComeBack) {
  const ScratchFolder folder;
  const double infinity = std::numeric_limits<double>::infinity();
  MetricsWriter writer(folder.path(), -1);
  writer.write({"train", 1, 0, {{"loss", std::nan("")}, {"rate", -infinity}, {"x", infinity}}, ""});
  writer.flush();
  const auto values = read_metrics(folder.path() / "metrics.jsonl").at(0).values;
  ASSERT_EQ(values.size(), 3u);
  EXPECT_TRUE(std::isnan(values[0].second));
  EXPECT_EQ(values[1].second, -infinity);
  EXPECT_EQ(values[2].second, infinity);
}

TEST(Metrics, ALineIsOneFlatObject) {
  const ScratchFolder folder;
  MetricsWriter writer(folder.path(), -1);
  writer.write({"train", 3, 96, {{"loss", 0.25}, {"gradient_norm", 2}}, ""});
  EXPECT_EQ(content_of(folder.path() / "metrics.jsonl"),
            "{\"kind\":\"train\",\"step\":\"3\",\"tokens\":\"96\",\"loss\":0.25,"
            "\"gradient_norm\":2}\n");
}

TEST(Metrics, AreVisibleAtOnce) {
  const ScratchFolder folder;
  MetricsWriter writer(folder.path(), -1);
  writer.write(train_record(1));
  EXPECT_EQ(read_metrics(folder.path() / "metrics.jsonl").size(), 1u);
}

TEST(Metrics, ANewRunBeginsAnew) {
  const ScratchFolder folder;
  append(folder.path() / "metrics.jsonl", "rubbish\n");
  MetricsWriter(folder.path(), -1).write(train_record(1));
  EXPECT_EQ(read_metrics(folder.path() / "metrics.jsonl").size(), 1u);
}

TEST(Metrics, ANewRunKeepsWhatEarlierStartsLeft) {
  const ScratchFolder folder;
  append(folder / "metrics.jsonl", "first\n");
  MetricsWriter(folder.path(), -1).write(train_record(1));
  const std::string second = content_of(folder / "metrics.jsonl");
  { const MetricsWriter third(folder.path(), -1); }
  { const MetricsWriter fourth(folder.path(), -1); }  // the third left nothing
  EXPECT_EQ(content_of(folder / "metrics-earlier-1.jsonl"), "first\n");
  EXPECT_EQ(content_of(folder / "metrics-earlier-2.jsonl"), second);
  EXPECT_FALSE(std::filesystem::exists(folder / "metrics-earlier-3.jsonl"));
}

/// Of events.out.tfevents.…: by the lengths that frame them.
int64_t events_in(const std::filesystem::path& folder) {
  int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("events.out")) continue;
    const std::string bytes = content_of(entry.path());
    size_t place = 0;
    for (; place < bytes.size(); ++count) {
      uint64_t length = 0;
      std::memcpy(&length, bytes.data() + place, sizeof length);
      place += 8 + 4 + length + 4;
    }
    EXPECT_EQ(place, bytes.size());
  }
  return count;
}

TEST(Metrics, WhatAFullDiskDidNotTakeIsWrittenLater) {
  const ScratchFolder undisturbed, folder;
  {
    MetricsWriter writer(undisturbed.path(), -1);
    for (int64_t step = 1; step <= 6; ++step) writer.write(train_record(step));
  }
  {
    MetricsWriter writer(folder.path(), -1);
    writer.write(train_record(1));
    {
      // Within the next line.
      const testing::FullDisk full(content_of(folder / "metrics.jsonl").size() + 10);
      for (int64_t step = 2; step <= 4; ++step) {
        writer.write(train_record(step));
        writer.flush();
      }
      EXPECT_EQ(read_metrics(folder / "metrics.jsonl").size(), 1u);
    }
    writer.write(train_record(5));
    EXPECT_EQ(read_metrics(folder / "metrics.jsonl").size(), 5u);
    const testing::FullDisk full(0);
    writer.write(train_record(6));
    // Its end, after that of the full disk, writes the last one.
  }
  EXPECT_EQ(events_in(folder.path()), events_in(undisturbed.path()));
  EXPECT_EQ(content_of(folder / "metrics.jsonl"), content_of(undisturbed / "metrics.jsonl"));
}

TEST(Metrics, ResumptionDropsLaterStepsAndATornLine) {
  const ScratchFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  {
    MetricsWriter writer(folder.path(), -1);
    for (int64_t step = 1; step <= 5; ++step) writer.write(train_record(step));
  }
  const std::string uninterrupted = content_of(file);
  append(file, "{\"kind\":\"train\",\"step\":\"6\",\"lo");
  {
    MetricsWriter writer(folder.path(), 3);
    EXPECT_EQ(read_metrics(file).size(), 3u);
    writer.write(train_record(4));
    writer.write(train_record(5));
  }
  EXPECT_EQ(content_of(file), uninterrupted);
}

/// Of a power loss: pages that were never written.
TEST(Metrics, ResumptionDropsAnUnreadableEnd) {
  const ScratchFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  {
    MetricsWriter writer(folder.path(), -1);
    for (int64_t step = 1; step <= 3; ++step) writer.write(train_record(step));
  }
  const std::string sound = content_of(file);
  append(file, std::string(600, '\0') + "\n\n\x01\xff\n");
  append(file, "{\"kind\":\"train\",\"step\":\"5\"}\n{\"kind\":\n");
  { const MetricsWriter writer(folder.path(), 3); }
  EXPECT_EQ(content_of(file), sound);
}

TEST(Metrics, DamageBeforeTheStepOfResumptionIsAnError) {
  const ScratchFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  const std::string before = "{\"kind\":\"train\",\"step\":\"2\"}\n";
  const std::string at = "{\"kind\":\"train\",\"step\":\"3\"}\n";
  for (const std::string& damaged :
       {before + "\x01\n", at + "\x01\n\x01\n" + at, before + "\x01\n" + at}) {
    std::filesystem::remove(file);
    append(file, damaged);
    try {
      const MetricsWriter writer(folder.path(), 3);
      ADD_FAILURE() << damaged;
    } catch (const core::InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("metrics.jsonl:2:")) << damaged;
    }
    EXPECT_EQ(content_of(file), damaged);
  }
}

TEST(Metrics, AnUnreadableEndIsToldToWhoAsks) {
  const ScratchFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  append(file, "{\"step\":\"1\"}\n" + std::string(9, '\0') + "\nnonsense\n");
  std::string unreadable_end;
  EXPECT_EQ(read_metrics(file, &unreadable_end).size(), 1u);
  EXPECT_THAT(unreadable_end, HasSubstr("metrics.jsonl:2:"));
  append(file, "{\"step\":\"2\"}\n");
  EXPECT_THROW(read_metrics(file, &unreadable_end), core::InputError);
}

TEST(Metrics, ResumptionWithoutAFileBeginsOne) {
  const ScratchFolder folder;
  MetricsWriter(folder.path(), 7).write(train_record(8));
  EXPECT_EQ(read_metrics(folder.path() / "metrics.jsonl").at(0).step, 8);
}

TEST(Metrics, ATornLastLineIsLeftOutInReading) {
  const ScratchFolder folder;
  MetricsWriter(folder.path(), -1).write(train_record(1));
  append(folder.path() / "metrics.jsonl", "{\"kind\":\"train\",\"step\":\"2\"}");
  EXPECT_EQ(read_metrics(folder.path() / "metrics.jsonl").size(), 1u);
}

TEST(Metrics, ADamagedLineIsNamed) {
  const ScratchFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  for (const std::string damaged : {"{\"kind\":", "[1]", "\x01\xff", "{\"step\":\"x\"}"}) {
    std::filesystem::remove(file);
    MetricsWriter(folder.path(), -1).write(train_record(1));
    append(file, damaged + "\n");
    try {
      read_metrics(file);
      ADD_FAILURE() << damaged;
    } catch (const core::InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("metrics.jsonl:2:")) << damaged;
    }
  }
}

TEST(Metrics, FieldsOfLaterVersionsAreNoError) {
  const ScratchFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  append(file, "{\"kind\":\"train\",\"step\":\"2\",\"loss\":1,\"new\":{\"a\":[1]}}\n");
  const auto records = read_metrics(file);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].values.size(), 1u);
}

TEST(Metrics, AMissingFileIsNamed) {
  const ScratchFolder folder;
  EXPECT_THROW(read_metrics(folder.path() / "metrics.jsonl"), core::InputError);
}

// A loss of 0 would look like a perfect model.
TEST(Metrics, AStepWithoutLabelsHasNoLoss) {
  const auto numbers_of = [](int64_t labels, double loss) {
    return train_numbers({.loss = StepBatches{.micro = {}, .labels = labels}.mean_loss(loss),
                          .tokens = 8,
                          .seconds = 1},
                         0);
  };
  const auto is_loss = [](const auto& number) { return number.first == "loss"; };
  EXPECT_EQ(numbers_of(4, 6.0).front(), (std::pair<std::string, double>{"loss", 1.5}));
  EXPECT_TRUE(std::ranges::none_of(numbers_of(0, 0.0), is_loss));
}

}  // namespace
}  // namespace longhaul::trainer
