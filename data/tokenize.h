// The tokenize command: text, .jsonl, .ndjson, both also as .gz or .zst, and folders of them →
// token folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/oddities.h"
#include "data/tokenizer.h"
#include "data/tokenizer_files.h"

namespace longhaul::data {

struct TokenizeProgress {
  int64_t files_done = 0, files = 0;
  int64_t bytes_done = 0, bytes = 0;                    ///< of input files as stored
  int64_t documents = 0, tokens = 0;                    ///< in `output`
  int64_t held_out_documents = 0, held_out_tokens = 0;  ///< in `held_out_output`
  int64_t short_documents = 0;                          ///< skipped: empty, or below the minimum
  int64_t binary_files = 0;                             ///< of folders, skipped
  Oddities bad_records;                                 ///< skipped
  Oddities mended_records;                              ///< with U+FFFD where they were no UTF-8
  Oddities json_documents;  ///< files of JSON that is not by lines, read as plain text
};
struct TokenizeJob {
  std::vector<std::filesystem::path>
      inputs;  ///< files or folders (walked in sorted order, links not followed,
               ///< hidden entries and the outputs skipped)
  std::filesystem::path output;
  /// Of the documents, by held_out.h's rule; above 0, below 1. 0: none. Of an input that is one
  /// uncompressed text file: its end.
  double held_out_share = 0;
  std::filesystem::path held_out_output;  ///< token folder for them
  std::string text_key = "text";          ///< of .jsonl records
  std::vector<std::string>
      extensions;             ///< of files taken from folders; empty: all that are text by content
  int64_t minimum_bytes = 0;  ///< shorter documents are skipped (and counted)
  std::vector<TokenizerFile> tokenizer_files;  ///< to be kept in the token folder
  bool skip_bad_records = false;               ///< in place of an error
  bool any_bytes = false;                      ///< files are taken as they are, text or not
  bool frame = false;  ///< put each document between the tokens of the tokenizer's frame
  int threads = 1;     ///< that encode; one more reads and writes
  std::function<void(const TokenizeProgress&)>
      report;  ///< called about four times a second, and at the end
};
/// Streams: memory is bounded by the number of threads, not by the input's size. A line of a .jsonl
/// or .ndjson is one document, any other file is one. Files that are no text are refused where they
/// are named, left out where they come from a folder. A document that the tokenizer cannot read in
/// pieces (Tokenizer::safe_cut) may have 1 GiB. The result does not depend on the number of
/// threads. Both outputs are written whole before either takes its name. Throws InputError naming
/// file and line, and where nothing is left for an output.
TokenizeProgress tokenize(const Tokenizer& tokenizer, const TokenizeJob& job);

}  // namespace longhaul::data
