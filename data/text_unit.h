// A portion of a tokenize job's input, and what becomes of it.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "data/oddities.h"
#include "data/tokenizer.h"

namespace longhaul::data {

struct TextUnit {
  struct Entry {
    size_t end = 0;  ///< of its bytes in `text`; it begins where the one before ends
    bool begins = true, ends = true;  ///< a document
    uint32_t key = 0;                 ///< of pieces: their document's (held_out.h)
    int64_t line = 0;                 ///< records: in the file
  };
  struct Piece {
    size_t end = 0;  ///< of its tokens
    bool ends = true;
    uint32_t key = 0;  ///< its document's
  };

  bool records = false;  ///< entries are lines of JSON, else pieces of documents
  std::string file;      ///< of records
  std::string text;
  std::vector<Entry> entries;

  std::vector<int32_t> tokens;
  std::vector<Piece> pieces;
  int64_t short_documents = 0;
  Oddities bad, mended;
  std::exception_ptr problem;  ///< instead of all that
};

struct UnitEncoding {
  const Tokenizer& tokenizer;
  std::string text_key;
  size_t minimum_bytes = 1;  ///< of records; shorter ones are counted
  DocumentFrame frame;
  bool skip_bad_records = false;
};

/// Fills tokens, pieces and what is counted, or throws InputError naming file and line.
void encode_unit(const UnitEncoding& encoding, TextUnit& unit);

}  // namespace longhaul::data
