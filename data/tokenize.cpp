#include "data/tokenize.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>

#include "data/encoding_pool.h"
#include "data/held_out.h"
#include "data/input_files.h"
#include "data/jsonl.h"
#include "data/split_writer.h"
#include "data/text_kind.h"
#include "data/text_stream.h"
#include "data/text_unit.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr size_t kBlockBytes = size_t{256} << 10;
constexpr size_t kMostDocument = size_t{1} << 30;  // that cannot be cut

DocumentFrame frame_of(const Tokenizer& tokenizer, const TokenizeJob& job) {
  if (!job.frame) return {};
  DocumentFrame frame = tokenizer.frame();
  // The writer ends every document.
  if (!frame.after.empty() && frame.after.back() == tokenizer.end_of_document())
    frame.after.pop_back();
  return frame;
}

/// One uncompressed file of text: a document, whose size is known before it is read.
bool is_sole_text(const std::vector<InputFile>& files) {
  if (files.size() != 1 || files.front().bytes == 0) return false;
  const auto& path = files.front().path;
  return uncompressed_name(path) == path.filename().string() && !holds_records(path);
}

/// The bytes of a stream up to a limit.
class Beginning : public TextStream {
 public:
  Beginning(TextStream& whole, int64_t bytes) : whole_(whole), left_(bytes) {}
  size_t read(std::span<char> out) override {
    const size_t done = whole_.read(out.first(std::min(out.size(), static_cast<size_t>(left_))));
    left_ -= static_cast<int64_t>(done);
    return done;
  }
  int64_t stored_bytes() const override { return whole_.stored_bytes(); }

 private:
  TextStream& whole_;
  int64_t left_;
};

/// Reads the inputs, cuts them into units of about a block, and writes what the pool makes of them.
class Job {
 public:
  Job(const Tokenizer& tokenizer, const TokenizeJob& job, SplitWriter& writer)
      : job_(job),
        writer_(writer),
        encoding_{tokenizer, job.text_key,
                  static_cast<size_t>(std::max<int64_t>(1, job.minimum_bytes)),
                  frame_of(tokenizer, job), job.skip_bad_records},
        pool_(
            std::max(1, job.threads), [this](TextUnit& unit) { encode_unit(encoding_, unit); },
            [this](TextUnit& unit) { write(unit); }) {}

  TokenizeProgress run(const std::vector<InputFile>& files) {
    progress_.files = std::ssize(files);
    for (const auto& file : files) progress_.bytes += file.bytes;
    const bool is_cut = job_.held_out_share > 0 && is_sole_text(files);
    for (const auto& file : files) {
      const int64_t before = progress_.bytes_done;
      BegunText stream(file.path);
      if (!expect_text_of(stream, file))
        ++progress_.binary_files;
      else if (holds_records(file.path))
        take_records(stream, file, before);
      else if (is_cut)
        take_ends(stream, file);
      else
        take_text(stream, file, before);
      progress_.bytes_done = before + stream.stored_bytes();
      ++progress_.files_done;
    }
    send();
    pool_.finish();
    return progress_;
  }

 private:
  /// False where a file is to be left out.
  bool expect_text_of(const BegunText& stream, const InputFile& file) {
    if (job_.any_bytes) return true;
    if (file.is_named) expect_text(file.path, stream.beginning());
    if (!problem_of_text(stream.beginning()).empty()) return false;
    if (is_json_document(file.path, stream.beginning()))
      progress_.json_documents.add({.count = 1, .first = file.path.string()});
    return true;
  }

  void take_records(TextStream& stream, const InputFile& file, int64_t before) {
    send();
    LineReader lines(stream, file.path.string());
    for (std::string_view line; lines.next(line);) {
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      unit_->records = true;
      unit_->file = file.path.string();
      unit_->text += line;
      unit_->entries.push_back({.end = unit_->text.size(), .line = lines.number()});
      if (unit_->text.size() >= kBlockBytes) send();
      show(before + stream.stored_bytes());
    }
    send();
  }

  /// The beginning as a document to train on, the end as one that is held out.
  void take_ends(TextStream& stream, const InputFile& file) {
    Beginning beginning(stream, begin_of_end(file.path, file.bytes, job_.held_out_share));
    take_text(beginning, file, 0, kNeverHeldOut);
    take_text(stream, file, 0, kAlwaysHeldOut);
  }

  /// `key`: instead of that of the content.
  void take_text(TextStream& stream, const InputFile& file, int64_t before,
                 std::optional<uint32_t> key = std::nullopt) {
    block_.resize(kBlockBytes);
    begins_ = true;
    document_.clear();
    for (size_t got = block_.size(); got == block_.size();) {
      got = stream.read(block_);
      const std::string_view piece(block_.data(), got);
      const size_t searched = document_.size();
      document_ += piece;
      // The first block, which holds all that a key is made of.
      if (begins_ && searched == 0) key_ = key ? *key : document_key(document_);
      send_beginning(searched, file);
      show(before + stream.stored_bytes());
    }
    if (begins_ && document_.size() < encoding_.minimum_bytes)
      ++progress_.short_documents;
    else
      add_piece(document_, true);
  }

  /// What can be cut off of a document that is known to count.
  void send_beginning(size_t searched, const InputFile& file) {
    if (begins_ && document_.size() < encoding_.minimum_bytes) return;
    const size_t cut = encoding_.tokenizer.safe_cut(document_, searched);
    if (cut > 0) {
      add_piece(std::string_view(document_).substr(0, cut), false);
      document_.erase(0, cut);
    } else if (document_.size() > kMostDocument) {
      throw core::InputError(core::message(
          file.path.string(), ": has more than ", kMostDocument,
          " bytes where the tokenizer sees no place to cut, expected shorter documents"));
    }
  }

  void add_piece(std::string_view piece, bool ends) {
    unit_->text += piece;
    unit_->entries.push_back(
        {.end = unit_->text.size(), .begins = begins_, .ends = ends, .key = key_});
    begins_ = false;
    if (unit_->text.size() >= kBlockBytes) send();
  }

  void send() {
    if (unit_->entries.empty()) return;
    pool_.put(std::move(unit_));
    unit_ = std::make_unique<TextUnit>();
  }

  void write(const TextUnit& unit) {
    size_t begin = 0;
    for (const auto& piece : unit.pieces) {
      writer_.append(piece.key, std::span(unit.tokens).subspan(begin, piece.end - begin));
      if (piece.ends) writer_.end_document(piece.key);
      begin = piece.end;
    }
    progress_.short_documents += unit.short_documents;
    progress_.bad_records.add(unit.bad);
    progress_.mended_records.add(unit.mended);
    writer_.count(progress_);
  }

  void show(int64_t bytes_done) {
    const auto now = std::chrono::steady_clock::now();
    if (!job_.report || now - shown_ < std::chrono::milliseconds(250)) return;
    shown_ = now;
    TokenizeProgress shown = progress_;
    shown.bytes_done = bytes_done;
    job_.report(shown);
  }

  const TokenizeJob& job_;
  SplitWriter& writer_;
  const UnitEncoding encoding_;
  TokenizeProgress progress_;
  std::chrono::steady_clock::time_point shown_ = std::chrono::steady_clock::now();
  std::vector<char> block_;
  std::string document_;  // of a text file: what has not been sent
  bool begins_ = true;    // nothing of the document has been
  uint32_t key_ = 0;      // the document's
  std::unique_ptr<TextUnit> unit_ = std::make_unique<TextUnit>();
  EncodingPool pool_;
};

std::string nothing_found(const TokenizeProgress& progress, int64_t minimum_bytes) {
  const auto counted = [](int64_t count, const char* what) {
    return core::message(count, " ", what, count == 1 ? "" : "s");
  };
  std::vector<std::string> reasons;
  if (progress.short_documents > 0) {
    reasons.push_back(counted(progress.short_documents, "document") +
                      (minimum_bytes > 1 ? core::message(" of less than ", minimum_bytes,
                                                         " bytes (--minimum-bytes) left out")
                                         : " without text left out"));
  }
  if (progress.binary_files > 0)
    reasons.push_back(counted(progress.binary_files, "binary file") + " left out");
  if (progress.bad_records.count > 0) {
    reasons.push_back(core::message(counted(progress.bad_records.count, "bad record"),
                                    " left out, the first: ", progress.bad_records.first));
  }
  std::string text = "inputs: no document in " + counted(progress.files, "file");
  for (size_t i = 0; i < reasons.size(); ++i) text += (i == 0 ? ": " : ", ") + reasons[i];
  return text + "; expected at least one";
}
}  // namespace

TokenizeProgress tokenize(const Tokenizer& tokenizer, const TokenizeJob& job) {
  const auto files = collect_inputs(job);
  SplitWriter writer(tokenizer, job, is_sole_text(files) ? kRuleOfEnd : kRuleOfContent);
  const TokenizeProgress progress = Job(tokenizer, job, writer).run(files);
  if (progress.documents + progress.held_out_documents == 0)
    throw core::InputError(nothing_found(progress, job.minimum_bytes));
  writer.finish();
  if (job.report) job.report(progress);
  return progress;
}

}  // namespace longhaul::data
