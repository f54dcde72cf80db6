#include "data/split_writer.h"

#include <algorithm>
#include <string>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
namespace fs = std::filesystem;

/// Ends without a separator.
fs::path whole(const fs::path& folder) {
  const fs::path path = fs::weakly_canonical(fs::absolute(folder));
  return path.has_filename() ? path : path.parent_path();
}

bool is_inside(const fs::path& inner, const fs::path& outer) {
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

/// The job itself.
const TokenizeJob& expect_apart(const TokenizeJob& job) {
  if (job.held_out_share == 0) return job;
  const fs::path train = whole(job.output), held_out = whole(job.held_out_output);
  if (is_inside(train, held_out) || is_inside(held_out, train)) {
    throw core::InputError(core::message("held-out documents: go to ", job.held_out_output.string(),
                                         ", expected a folder apart from ", job.output.string()));
  }
  return job;
}

TokenFolderWriter::Description describe(const Tokenizer& tokenizer, const TokenizeJob& job,
                                        const char* rule, bool is_held_out) {
  TokenFolderWriter::Description description{.tokenizer = tokenizer.name(),
                                             .vocabulary = tokenizer.vocabulary(),
                                             .end_of_document = tokenizer.end_of_document()};
  if (job.held_out_share > 0)
    description.split =
        Split{.share = job.held_out_share, .rule = rule, .is_held_out = is_held_out};
  return description;
}

void begin(TokenFolderWriter& writer, const TokenizeJob& job) {
  for (const auto& input : job.inputs) writer.add_source(input.string());
  writer.keep_tokenizer(job.tokenizer_files);
}
}  // namespace

SplitWriter::SplitWriter(const Tokenizer& tokenizer, const TokenizeJob& job, const char* rule)
    : share_(job.held_out_share),
      train_(expect_apart(job).output, describe(tokenizer, job, rule, false)) {
  begin(train_, job);
  if (share_ == 0) return;
  held_out_ = std::make_unique<TokenFolderWriter>(job.held_out_output,
                                                  describe(tokenizer, job, rule, true));
  begin(*held_out_, job);
}

void SplitWriter::end_document(uint32_t key) {
  side(key).end_document();
  least_key_ = std::min(least_key_, key);
  most_key_ = std::max(most_key_, key);
}

void SplitWriter::count(TokenizeProgress& progress) const {
  progress.documents = train_.documents();
  progress.tokens = train_.tokens();
  if (!held_out_) return;
  progress.held_out_documents = held_out_->documents();
  progress.held_out_tokens = held_out_->tokens();
}

void SplitWriter::expect_two_sides() const {
  const int64_t documents = train_.documents() + held_out_->documents();
  const bool none = held_out_->documents() == 0;
  if (!none && train_.documents() > 0) return;
  const std::string what =
      core::message("held-out share: ", share_, none ? " holds out none" : " leaves none");
  if (documents == 1) {
    throw core::InputError(core::message(
        what,
        " of 1 document, expected two or more (the end of a single one is held out where it "
        "is the only input, uncompressed text and long enough)"));
  }
  const double share = none ? share_at(least_key_, true) : share_at(most_key_, false);
  throw core::InputError(
      core::message(what, " of ", documents, " documents, expected at least one; ",
                    share > 0 && share < 1 ? core::message("with ", share, " there would be one")
                                           : std::string("these have to be divided by hand")));
}

void SplitWriter::finish() {
  if (!held_out_) return train_.finish();
  expect_two_sides();
  train_.seal();
  held_out_->seal();
  held_out_->finish();
  train_.finish();
}

}  // namespace longhaul::data
