// SCALING.md holds what the program prints.
#include "bench/scaling/document.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "kernels/core/error.h"

namespace longhaul::bench {
namespace {

const std::string kRoot = SOURCE_DIR;

TEST(Document, HoldsTheTablesOfTheModel) {
  const Tables tables = all_tables(kRoot + "/bench/scaling");
  std::ifstream file(kRoot + "/SCALING.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(with_tables(text, tables, "SCALING.md"), text)
      << "renew it: bench/scaling/regenerate.sh";
}

const Tables kTables{{"a", "| 1 |\n"}, {"b", "| 2 |\n"}};

TEST(Document, RenewsWhatStandsBetweenTheMarks) {
  const std::string old =
      "# T\n<!-- table a -->\nold\n<!-- end -->\ntext\n<!-- table b -->\n<!-- end -->\n";
  EXPECT_EQ(with_tables(old, kTables, "x"),
            "# T\n<!-- table a -->\n| 1 |\n<!-- end -->\ntext\n<!-- table b -->\n| 2 |\n<!-- end "
            "-->\n");
}

TEST(Document, RefusesPagesItDoesNotUnderstand) {
  const auto problem = [](const std::string& text) -> std::string {
    try {
      with_tables(text, kTables, "x.md");
    } catch (const core::InputError& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_EQ(problem("<!-- table c -->\n<!-- end -->\n"), "x.md:1: there is no table 'c'");
  EXPECT_EQ(problem("\n<!-- table a -->\n| 1 |\n"), "x.md:2: the table has no line <!-- end -->");
  EXPECT_EQ(problem("<!-- table a -->\n<!-- end -->\n"), "x.md: has no table 'b'");
}

TEST(Document, IsWrittenOnlyWhenAsked) {
  const std::string page = ::testing::TempDir() + "page.md";
  std::ofstream(page) << "<!-- table a -->\n<!-- end -->\n<!-- table b -->\n<!-- end -->\n";
  EXPECT_FALSE(renew_tables(page, kTables, false));
  EXPECT_FALSE(renew_tables(page, kTables, true));
  EXPECT_TRUE(renew_tables(page, kTables, false));
  EXPECT_THROW(renew_tables("/nowhere.md", kTables, false), core::InputError);
}

TEST(Text, OfNumbers) {
  EXPECT_EQ(tokens_text(1 << 22), "4M");
  EXPECT_EQ(tokens_text(1 << 15), "32k");
  EXPECT_EQ(tokens_text(1000), "1000");
  EXPECT_EQ(seconds_text(2.5), "2.5 s");
  EXPECT_EQ(seconds_text(0.0123), "12.3 ms");
  EXPECT_EQ(seconds_text(4e-6), "4 µs");
  EXPECT_EQ(markdown({{"a", "b"}, {"1", "2"}}), "| a | b |\n|---|---|\n| 1 | 2 |\n");
}

}  // namespace
}  // namespace longhaul::bench
