// Which documents are kept from training, to measure on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace longhaul::data {

/// How documents were divided between a token folder and the one that is held out; both note it.
struct Split {
  double share = 0;          ///< asked for, of the documents: above 0, below 1
  std::string rule;          ///< in words
  bool is_held_out = false;  ///< this folder's side
};

/// CRC-32 of the first 64 KiB of a document's text: the same wherever the document stands and
/// whatever else there is, so that duplicates are on one side, and so is a text that grows.
uint32_t document_key(std::string_view text);
/// key / 2³² < share. A larger share holds out the same documents and more.
bool is_held_out(uint32_t key, double share);
/// A share of two digits that holds out (or, with `least` false, leaves) a document of this key,
/// close to the least (most) that does; it may be 1 (0).
double share_at(uint32_t key, bool least);

/// Keys of what is not divided by its text: on their side with any share.
inline constexpr uint32_t kAlwaysHeldOut = 0, kNeverHeldOut = UINT32_MAX;

/// In a file that is the only document: where its last `share` begins, moved on to the next line
/// (character, where none is near). InputError if it cannot be read.
int64_t begin_of_end(const std::filesystem::path& file, int64_t bytes, double share);

/// Where the held-out documents of a token folder are by default: FOLDER_held_out.
std::filesystem::path held_out_beside(const std::filesystem::path& folder);

extern const char* const kRuleOfContent;
extern const char* const kRuleOfEnd;

}  // namespace longhaul::data
