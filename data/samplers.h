// How a token folder becomes batches.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "data/batch.h"
#include "data/token_data.h"

namespace longhaul::data {

/// Which rows of the global batch this data rank takes: rows [rank · rows, (rank + 1) · rows).
struct RowShare {
  int data_ranks = 1;
  int data_rank = 0;
  int64_t rows = 1;  ///< per data rank
  /// A row with tokens outside the vocabulary has no labels, with a warning, in place of an error;
  /// such tokens are 0.
  bool skip_bad_rows = false;
  int64_t global_rows() const { return data_ranks * rows; }
};

/// `folder` must outlive the source.
/// Random windows: an epoch cuts the tokens into ⌊(tokens − 1 − offset)/length⌋ windows at a random
/// offset < length and visits each once, in an order that is a seeded permutation computed by index
/// (no list of windows in memory). Each row reads length + 1 tokens (the last only as a label).
/// fresh is always 1.
std::unique_ptr<BatchSource> make_random_sampler(const TokenData& folder, int64_t length,
                                                 uint64_t seed, RowShare share);

/// Contiguous lanes for TBTT: the tokens are cut into global_rows() equal lanes; row r of step k +
/// 1 continues row r of step k. At the end of a lane an epoch ends: all lanes start again, shifted
/// to other places by a seeded rotation, fresh = 1. `reset_at_documents`: a row never crosses a
/// document border: the rest of the row after a document's end is padding (labels −1) and the next
/// row of the lane starts the next document with fresh = 1. Lanes then need unequal numbers of
/// rows, so each one ends its epochs on its own. The tokens are a ring: the first document follows
/// the last.
struct LaneOptions {
  bool reset_at_documents = false;
};
std::unique_ptr<BatchSource> make_lane_sampler(const TokenData& folder, int64_t length,
                                               uint64_t seed, RowShare share, LaneOptions options);

/// Where a window for evaluation begins: with its document, or anywhere inside it. Beginnings are
/// often easier to predict than the rest, so that curves over positions differ.
enum class WindowBegin { kDocument, kInside };
constexpr std::string_view name_of(WindowBegin begin) {
  return begin == WindowBegin::kInside ? "inside" : "document";
}

/// `count` windows of `length` + 1 tokens, each inside one document if enough documents are that
/// long (spread evenly over them), for evaluation. Else they cross borders, as many as fit without
/// overlap (the label of a window's last token apart): windows that share tokens would say the same
/// over and over, and a standard error over them nothing. `whole_documents` says how many documents
/// were long enough.
struct LongWindows {
  std::vector<int64_t> begins;  ///< the first token of each, ascending; at least one
  int64_t whole_documents = 0;
  bool inside_documents = false;  ///< false: too few long documents, windows cross borders
};
LongWindows find_long_windows(const TokenData& folder, int64_t length, int64_t count, uint64_t seed,
                              WindowBegin begin = WindowBegin::kDocument);

}  // namespace longhaul::data
