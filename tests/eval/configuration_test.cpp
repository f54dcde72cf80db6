#include "eval/configuration.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"

namespace longhaul::eval {
namespace {

TEST(Configuration, NestedKeysQuotesListsAndComments) {
  const Configuration found = read_configuration(R"(# resolved
model:
  from: "a: # b"  # not part of it
  shape:
    layers: 24
    'odd key': 'it''s'
data:
  folders:
  - one
  - "two"
  sizes: [1, 2]
run:
  folder: ""
last: true
)",
                                                 "run.yaml");
  const Configuration expected{{"model.from", "a: # b"},
                               {"model.shape.layers", "24"},
                               {"model.shape.odd key", "it's"},
                               {"data.folders[0]", "one"},
                               {"data.folders[1]", "two"},
                               {"data.sizes", "[1, 2]"},
                               {"run.folder", ""},
                               {"last", "true"}};
  EXPECT_EQ(found, expected);
}

TEST(Configuration, RefusesOtherYamlWithItsLine) {
  const auto refused = [](const std::string& text, const std::string& where) {
    try {
      read_configuration(text, "run.yaml");
      ADD_FAILURE() << text;
    } catch (const core::InputError& error) {
      EXPECT_EQ(std::string(error.what()).find(where), 0u) << error.what();
    }
  };
  refused("a: 1\njust words\n", "run.yaml:2: ");
  refused("a: |\n  text\n", "run.yaml:1: ");
  refused("\n\n- item\n", "run.yaml:3: ");
  refused("a:\n\tb: 1\n", "run.yaml:2: ");
  refused("\"open: 1\n", "run.yaml:1: ");
  refused(": 1\n", "run.yaml:1: ");
}

TEST(Configuration, DifferingKeysAreThoseThatChangeOrAreLacking) {
  const Configuration a{{"x", "1"}, {"y", "2"}, {"run.folder", "a"}, {"only", "0"}};
  const Configuration b{{"y", "3"}, {"x", "1"}, {"run.folder", "b"}, {"other", "0"}};
  EXPECT_EQ(differing_keys({&a, &b}), (std::vector<std::string>{"y", "only", "other"}));
  EXPECT_TRUE(differing_keys({&a}).empty());
  EXPECT_EQ(find_value(a, "none"), nullptr);
}

}  // namespace
}  // namespace longhaul::eval
