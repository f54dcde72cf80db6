// A sequence read in windows, each from the initial state: what the model reaches there with short
// context. The windows begin half a window apart, and of each the last half counts (of the first
// all), so that what is counted was predicted from more than half a window.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "eval/sequence_reader.h"

namespace longhaul::eval {

/// Tokens [begin, begin + Windows::width) of a sequence; labels from `counted` on count.
struct Window {
  int64_t begin = 0, counted = 0;
};

/// Every position of a sequence counts in one window: the label at position p is predicted from the
/// tokens up to p, at most `asked` of them and at least min(p + 1, ⌈asked/2⌉ + 1). The last window
/// ends with the sequence.
class Windows {
 public:
  Windows(int64_t length, int64_t asked);
  int64_t count() const { return count_; }
  int64_t width() const { return width_; }  ///< the sequence's length, where that is shorter
  Window at(int64_t window) const;

 private:
  int64_t length_, width_, stride_, count_;
};

/// Windows of one sequence, in their order; no more of it is kept than those of the last call.
class WindowSource {
 public:
  WindowSource(std::unique_ptr<SequenceReader> sequence, const Windows& windows)
      : sequence_(std::move(sequence)), windows_(windows) {}

  /// Reads on to the end of window `end` − 1, and lets go what lies before window `begin`.
  void advance(int64_t begin, int64_t end);
  /// A reader of one of these windows, until the next advance.
  std::unique_ptr<SequenceReader> reader(int64_t window) const;

 private:
  std::unique_ptr<SequenceReader> sequence_;
  const Windows& windows_;
  LabelledTokens kept_;
  int64_t begin_ = 0;  // of what is kept
};

}  // namespace longhaul::eval
