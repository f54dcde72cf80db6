#include <glog/logging.h>

#include <algorithm>

#include "data/row_share.h"
#include "data/samplers.h"
#include "kernels/core/error.h"
#include "kernels/core/random.h"

namespace longhaul::data {

LongWindows find_long_windows(const TokenData& folder, int64_t length, int64_t count, uint64_t seed,
                              WindowBegin begin) {
  CHECK_GE(count, 1);
  check_share({}, length);
  require_tokens(folder, length, core::message("one window of ", length));
  LongWindows found;
  std::vector<int64_t> documents;  // that hold a window
  for (int64_t i = 0; i < folder.documents(); ++i)
    if (folder.document_begin(i + 1) - folder.document_begin(i) > length) documents.push_back(i);
  found.whole_documents = std::ssize(documents);
  found.inside_documents = found.whole_documents >= count;
  const int64_t number =
      found.inside_documents ? count : std::min(count, (folder.tokens() - 1) / length);
  // Across borders the windows follow each other; what they leave over is strewn between them.
  const int64_t choices =
      found.inside_documents ? found.whole_documents : folder.tokens() - number * length;
  const core::RandomKey key{seed, 0, core::RandomPurpose::kEvaluation};
  for (int64_t i = 0; i < number; ++i) {  // one at random in each of `number` equal strata
    const auto edge = [&](int64_t k) {
      return static_cast<int64_t>(static_cast<__int128>(choices) * k / number);
    };
    const int64_t low = edge(i), width = std::max<int64_t>(1, edge(i + 1) - low);
    const auto draw = [&](uint64_t number, int64_t below) {
      return static_cast<int64_t>(core::uniform_below(key, number, static_cast<uint64_t>(below)));
    };
    int64_t place = low + draw(static_cast<uint64_t>(i), width);
    if (found.inside_documents) {
      const int64_t document = documents[static_cast<size_t>(place)];
      place = folder.document_begin(document);
      if (begin == WindowBegin::kInside) {
        const int64_t places = folder.document_begin(document + 1) - place - length;
        place += draw(static_cast<uint64_t>(count + i), places);
      }
    } else {
      place += i * length;
    }
    found.begins.push_back(place);
  }
  return found;
}

}  // namespace longhaul::data
