#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "data/samplers.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::HasSubstr;
using testing::Scratch;

/// A position by its descriptor: generated headers are the library's own.
nlohmann::json lanes_of(const std::string& position) {
  const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
      "longhaul.data.proto.Position");
  const std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  std::string text;
  if (!message->ParseFromString(position) ||
      !google::protobuf::util::MessageToJsonString(*message, &text).ok())
    throw std::runtime_error("not a position");
  return nlohmann::json::parse(text).at("lanes");
}

TEST(LaneSampler, RowsContinueAndAnEpochCoversEqualLanes) {
  constexpr int64_t kTokens = 131, kLength = 4, kLanes = 5;
  constexpr int64_t kSteps = kTokens / (kLength * kLanes);  // 6, 11 tokens left over
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {kTokens - 1});
  const TokenFolder folder(scratch / "tokens");
  const auto source = make_lane_sampler(folder, kLength, 9, {.rows = kLanes}, {});
  std::set<int32_t> starts;
  for (int epoch = 0; epoch < 4; ++epoch) {
    std::multiset<int32_t> inputs;
    std::vector<int32_t> expected(kLanes);
    for (int64_t step = 0; step < kSteps; ++step) {
      const Batch batch = source->next();
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const int32_t* tokens = batch.tokens.data() + lane * kLength;
        const int32_t* labels = batch.labels.data() + lane * kLength;
        ASSERT_EQ(batch.fresh[static_cast<size_t>(lane)], step == 0);
        if (step > 0) {
          ASSERT_EQ(tokens[0], expected[static_cast<size_t>(lane)]);
        }
        for (int64_t i = 0; i < kLength; ++i) {
          ASSERT_EQ(labels[i], (tokens[i] + 1) % kTokens);  // a ring
          if (i > 0) {
            ASSERT_EQ(tokens[i], labels[i - 1]);
          }
          inputs.insert(tokens[i]);
        }
        expected[static_cast<size_t>(lane)] = labels[kLength - 1];
        if (step == 0 && lane == 0) starts.insert(tokens[0]);
      }
    }
    EXPECT_EQ(inputs.size(), static_cast<size_t>(kSteps * kLength * kLanes));
    EXPECT_EQ(std::set<int32_t>(inputs.begin(), inputs.end()).size(), inputs.size());
  }
  EXPECT_GE(starts.size(), 3u) << "epochs must start at other places";
}

TEST(LaneSampler, NeedsARowForEveryLane) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {30});  // 31 tokens
  const TokenFolder folder(scratch / "tokens");
  for (const bool reset : {false, true}) {
    const LaneOptions options{.reset_at_documents = reset};
    EXPECT_THAT(testing::problem_of([&] {
                  make_lane_sampler(folder, 8, 1, {.data_ranks = 2, .rows = 2}, options);
                }),
                HasSubstr("has 31 tokens, expected at least 33"));
    EXPECT_EQ(make_lane_sampler(folder, 10, 1, {.rows = 3}, options)->next().sequences, 3);
  }
}

TEST(LaneSampler, WarnsOfLanesOfASingleSequence) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {30});  // 31 tokens
  const TokenFolder folder(scratch / "tokens");
  const auto said_at = [&](int64_t length) {
    ::testing::internal::CaptureStderr();
    make_lane_sampler(folder, length, 1, {.rows = 2}, {});
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(said_at(8), HasSubstr("lanes of a single sequence each (31 tokens, 2 lanes"));
  EXPECT_EQ(said_at(7), "");
}

TEST(LaneSampler, RefusesAnotherNumberOfLanes) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", {100});
  const TokenFolder folder(scratch / "tokens");
  for (const bool reset : {false, true}) {
    const LaneOptions options{.reset_at_documents = reset};
    const auto position = make_lane_sampler(folder, 4, 1, {.rows = 3}, options)->position();
    const auto source = make_lane_sampler(folder, 4, 1, {.rows = 4}, options);
    EXPECT_THAT(testing::problem_of([&] { source->restore(position); }),
                HasSubstr("number of lanes is 3, expected 4"));
  }
}

// Every token but the ends of documents has its own number, so rows can be followed.
TEST(DocumentLanes, RowsStayInsideDocumentsAndAnEpochSeesEveryLabelOnce) {
  const std::vector<int64_t> sizes{9, 0, 1, 4, 5, 3, 17, 0, 0, 8, 1, 2, 30};
  constexpr int64_t kLength = 4, kLanes = 3;
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", sizes);
  const TokenFolder folder(scratch / "tokens");
  const int32_t end = folder.end_of_document();
  std::set<int32_t> first_of_document, last_of_document;
  int32_t next = 0;
  for (const int64_t size : sizes) {
    if (size > 0) first_of_document.insert(next);
    next += static_cast<int32_t>(size);
    if (size > 0) last_of_document.insert(next - 1);
  }
  const auto source =
      make_lane_sampler(folder, kLength, 4, {.rows = kLanes}, {.reset_at_documents = true});
  std::vector<int32_t> expected(kLanes, -1);  // token that continues each lane
  std::map<std::pair<int64_t, int64_t>, std::multiset<int32_t>> inputs;  // of lane and epoch
  for (int step = 0; step < 120; ++step) {
    const Batch batch = source->next();
    const auto epochs = lanes_of(source->position()).at("laneEpoch");
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int32_t* tokens = batch.tokens.data() + lane * kLength;
      const int32_t* labels = batch.labels.data() + lane * kLength;
      int64_t used = 0;
      while (used < kLength && labels[used] >= 0) ++used;
      ASSERT_GE(used, 1);
      for (int64_t i = 0; i < used; ++i) {
        ASSERT_NE(tokens[i], end);
        ASSERT_EQ(labels[i], last_of_document.count(tokens[i]) ? end : tokens[i] + 1);
        if (i > 0) {
          ASSERT_EQ(tokens[i], labels[i - 1]);
        }
        inputs[{lane, std::stoll(epochs.at(lane).get<std::string>())}].insert(tokens[i]);
      }
      for (int64_t i = used; i < kLength; ++i) {
        ASSERT_EQ(tokens[i], end);
        ASSERT_EQ(labels[i], -1);
      }
      auto& continues = expected[static_cast<size_t>(lane)];
      const bool fresh = batch.fresh[static_cast<size_t>(lane)] != 0;
      if (!fresh) {
        ASSERT_EQ(tokens[0], continues);
      }
      if (first_of_document.count(tokens[0])) {
        ASSERT_TRUE(fresh);
      }
      if (step == 0) {
        ASSERT_TRUE(fresh);
      }
      continues = labels[used - 1] == end ? -1 : labels[used - 1];
    }
  }
  // Lanes are in different epochs; all their first epochs together are the whole.
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::multiset<int32_t> seen;
    for (int64_t lane = 0; lane < kLanes; ++lane) seen.merge(inputs[{lane, epoch}]);
    EXPECT_EQ(seen.size(), static_cast<size_t>(next));
    EXPECT_EQ(std::set<int32_t>(seen.begin(), seen.end()).size(), seen.size()) << epoch;
  }
}

TEST(DocumentLanes, RefuseAFolderOfEmptyDocuments) {
  Scratch scratch;
  testing::write_numbered(scratch / "tokens", std::vector<int64_t>(20, 0));
  const TokenFolder folder(scratch / "tokens");
  EXPECT_THAT(testing::problem_of(
                  [&] { make_lane_sampler(folder, 4, 1, {}, {.reset_at_documents = true}); }),
              HasSubstr("all of its 20 documents are empty"));
}

TEST(DocumentLanes, FindTheOneDocumentThatIsNotEmpty) {
  Scratch scratch;
  std::vector<int64_t> sizes(200, 0);
  sizes[123] = 1;
  testing::write_numbered(scratch / "tokens", sizes);
  const TokenFolder folder(scratch / "tokens");
  const auto source = make_lane_sampler(folder, 4, 1, {.rows = 5}, {.reset_at_documents = true});
  for (int step = 0; step < 10; ++step) {
    const Batch batch = source->next();
    for (size_t row = 0; row < 5; ++row) {
      ASSERT_EQ(batch.tokens[row * 4], 0);
      ASSERT_EQ(batch.labels[row * 4], 1);
      ASSERT_EQ(batch.fresh[row], 1);
    }
  }
}

}  // namespace
}  // namespace longhaul::data
