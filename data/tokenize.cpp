#include "data/tokenize.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "data/input_files.h"
#include "data/jsonl.h"
#include "data/text_stream.h"
#include "data/token_folder.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr size_t kBlockBytes = size_t{1} << 20;
constexpr size_t kProbedBytes = 8192;  // a NUL among so many means binary

class Job {
 public:
  Job(const Tokenizer& tokenizer, const TokenizeJob& job, TokenFolderWriter& writer)
      : tokenizer_(tokenizer), job_(job), writer_(writer) {}

  TokenizeProgress run(const std::vector<InputFile>& files) {
    progress_.files = std::ssize(files);
    for (const auto& file : files) progress_.bytes += file.bytes;
    for (const auto& file : files) {
      const int64_t before = progress_.bytes_done;
      const auto stream = open_text(file.path);
      if (uncompressed_name(file.path).ends_with(".jsonl"))
        take_records(*stream, file, before);
      else
        take_text(*stream, file, before);
      progress_.bytes_done = before + stream->stored_bytes();
      ++progress_.files_done;
    }
    return progress_;
  }

 private:
  void take_records(TextStream& stream, const InputFile& file, int64_t before) {
    LineReader lines(stream, file.path.string());
    std::string text;
    for (std::string_view line; lines.next(line);) {
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      const std::string problem = read_record(line, job_.text_key, text);
      if (!problem.empty()) throw core::InputError(core::message(lines.place(), ": ", problem));
      append(text);
      end_document();
      show(before + stream.stored_bytes());
    }
  }

  void take_text(TextStream& stream, const InputFile& file, int64_t before) {
    block_.resize(kBlockBytes);
    bool first = true;
    for (size_t got = block_.size(); got == block_.size(); first = false) {
      got = stream.read(block_);
      const std::string_view piece(block_.data(), got);
      if (first && file.only_text &&
          piece.substr(0, kProbedBytes).find('\0') != std::string_view::npos) {
        ++progress_.binary_files;
        return;
      }
      append(piece);
      show(before + stream.stored_bytes());
    }
    end_document();
  }

  /// Text is held back until it is known to be a document that counts.
  void append(std::string_view text) {
    const auto least = static_cast<size_t>(std::max<int64_t>(1, job_.minimum_bytes));
    if (!in_document_ && held_.size() + text.size() < least) {
      held_ += text;
      return;
    }
    if (!held_.empty()) write(held_);
    held_.clear();
    write(text);
    in_document_ = true;
  }

  void write(std::string_view text) {
    while (!text.empty()) {
      const std::string_view piece = text.substr(0, kBlockBytes);
      tokens_.clear();
      tokenizer_.encode(piece, tokens_);
      writer_.append(tokens_);
      text.remove_prefix(piece.size());
    }
  }

  void end_document() {
    held_.clear();
    if (in_document_)
      writer_.end_document();
    else
      ++progress_.short_documents;
    in_document_ = false;
    progress_.documents = writer_.documents();
    progress_.tokens = writer_.tokens();
  }

  void show(int64_t bytes_done) {
    const auto now = std::chrono::steady_clock::now();
    if (!job_.report || now - shown_ < std::chrono::milliseconds(250)) return;
    shown_ = now;
    progress_.bytes_done = bytes_done;
    progress_.tokens = writer_.tokens();
    job_.report(progress_);
  }

  const Tokenizer& tokenizer_;
  const TokenizeJob& job_;
  TokenFolderWriter& writer_;
  TokenizeProgress progress_;
  std::chrono::steady_clock::time_point shown_ = std::chrono::steady_clock::now();
  std::vector<char> block_;
  std::string held_;
  bool in_document_ = false;
  std::vector<int32_t> tokens_;
};
}  // namespace

TokenizeProgress tokenize(const Tokenizer& tokenizer, const TokenizeJob& job) {
  const auto files = collect_inputs(job);
  TokenFolderWriter writer(job.output, {.tokenizer = tokenizer.name(),
                                        .vocabulary = tokenizer.vocabulary(),
                                        .end_of_document = tokenizer.end_of_document()});
  for (const auto& input : job.inputs) writer.add_source(input.string());
  const TokenizeProgress progress = Job(tokenizer, job, writer).run(files);
  if (progress.documents == 0)
    throw core::InputError(core::message(
        "inputs: no document in ", progress.files, " files (", progress.short_documents,
        " empty or too short, ", progress.binary_files, " files binary), expected at least one"));
  writer.finish();
  if (job.report) job.report(progress);
  return progress;
}

}  // namespace longhaul::data
