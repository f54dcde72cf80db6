#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <string>
#include <vector>

#include "data/held_out.h"
#include "data/token_folder.h"
#include "data/tokenize.h"
#include "data/tokenizer.h"
#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/given_tokens.h"
#include "launch/progress_bar.h"

namespace longhaul::launch {

namespace {

class TokenizeCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand(
        "tokenize",
        "Turns text, .jsonl, .ndjson, the same as .gz or .zst, and folders into a token folder");
    command_
        ->add_option("--tokenizer", tokenizer_,
                     "byte, a tokenizer.json, a tokenizer.model, or a folder with one of them")
        ->capture_default_str();
    command_->add_option("--end-of-document", end_of_document_,
                         "token (its text or number) that ends a document; default: what the "
                         "tokenizer's files say");
    command_->add_flag("--frame", frame_,
                       "put each document between the special tokens of the tokenizer's "
                       "post-processor (Llama 3: begin of text)");
    command_->add_option("--threads", threads_, "threads that encode; 0: all processors")
        ->check(whole_number(0))
        ->capture_default_str();
    command_->add_option("--out", output_, "token folder to write")->required();
    command_->add_option("--text-key", text_key_, "key of the text in .jsonl records")
        ->capture_default_str();
    command_
        ->add_option("--extensions", extensions_,
                     "endings of files taken from folders, such as .rst,.txt; default: all text")
        ->delimiter(',');
    command_->add_option("--minimum-bytes", minimum_bytes_, "skip shorter documents")
        ->check(whole_number(0));
    command_->add_flag("--any-bytes", any_bytes_,
                       "take files as they are, also those that are no text (archives, NUL bytes)");
    command_->add_flag("--skip-bad-records", skip_bad_records_,
                       "leave out records that cannot be read; they are counted, and the first is "
                       "named");
    command_
        ->add_option("--held-out", held_out_,
                     "share of the documents to keep from training, such as 0.05: they go to a "
                     "token folder of their own. Which ones, their text alone decides: the same "
                     "with other tokenizers, orders and more inputs; duplicates stay together. Of "
                     "a single uncompressed text file it is the end")
        ->check(number_within(0, 1));
    command_
        ->add_option("--held-out-folder", held_out_folder_,
                     "token folder for them; default: that of --out with _held_out")
        ->needs("--held-out");
    command_->add_option("inputs", inputs_, "files and folders")->required();
    command_->footer(
        "Example:\n  longhaul tokenize --tokenizer my_model --out tokens --held-out 0.05 "
        "--extensions .rst,.txt books notes.jsonl.zst\nwrites tokens (data.folder of a run) and "
        "tokens_held_out (evaluation.folder, and --data of longhaul eval)");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession& session) override {
    check_share();
    const auto tokenizer = make_given_tokenizer("--tokenizer", tokenizer_, end_of_document_);
    ProgressBar bar("tokenize");
    data::TokenizeJob job;
    job.inputs.assign(inputs_.begin(), inputs_.end());
    job.output = output_;
    job.held_out_share = held_out_;
    job.held_out_output = held_out_folder();
    job.text_key = text_key_;
    job.extensions = extensions_;
    job.minimum_bytes = minimum_bytes_;
    job.tokenizer_files = data::read_tokenizer_files(tokenizer_);
    if (!end_of_document_.empty()) data::keep_end_of_document(*tokenizer, job.tokenizer_files);
    job.skip_bad_records = skip_bad_records_;
    job.any_bytes = any_bytes_;
    job.frame = frame_;
    job.threads = choose_threads(threads_, session);
    job.report = [&bar](const data::TokenizeProgress& done) {
      const double share =
          done.bytes > 0 ? static_cast<double>(done.bytes_done) / static_cast<double>(done.bytes)
                         : 1.0;
      bar.show(share, core::message(done.documents + done.held_out_documents, " documents, ",
                                    done.tokens + done.held_out_tokens, " tokens"));
    };
    const auto done = data::tokenize(*tokenizer, job);
    std::cout << output_ << ": " << done.documents << " documents, " << done.tokens
              << " tokens from " << done.files << " files";
    if (done.short_documents > 0) std::cout << "; " << done.short_documents << " too short";
    if (done.bad_records.count > 0) std::cout << "; " << done.bad_records.count << " bad records";
    if (done.binary_files > 0) std::cout << "; " << done.binary_files << " files are no text";
    std::cout << "; end of document: " << tokenizer->end_of_document() << std::endl;
    tell_of_oddities(done);
    tell_of_held_out(done);
    return kDone;
  }

 private:
  std::string held_out_folder() const {
    return held_out_folder_.empty() ? data::held_out_beside(output_).string() : held_out_folder_;
  }

  void check_share() const {
    const bool is_given = command_->count("--held-out") > 0;
    if (is_given && (held_out_ <= 0 || held_out_ >= 1)) {
      throw core::InputError(core::message("--held-out: is ", held_out_,
                                           ", expected a share above 0 and below 1, such as 0.05"));
    }
  }

  static void tell_of_oddities(const data::TokenizeProgress& done) {
    const auto tell = [](const data::Oddities& found, const char* one, const char* several) {
      if (found.count == 0) return;
      const std::string more =
          found.count > 1 ? core::message(" and ", found.count - 1, " more") : "";
      note(found.first + more + ": " + (found.count > 1 ? several : one));
    };
    tell(done.json_documents,
         "is read as plain text; records, one a line, are recognised by the name .jsonl",
         "are read as plain text; records, one a line, are recognised by the name .jsonl");
    tell(done.mended_records, "is no UTF-8 (or half a surrogate pair), read as U+FFFD there",
         "are no UTF-8 (or half a surrogate pair), read as U+FFFD there");
    if (done.bad_records.count > 0) {
      note(core::message(done.bad_records.count, " bad ",
                         done.bad_records.count > 1 ? "records are" : "record is",
                         " left out, the first: ", done.bad_records.first));
    }
  }

  void tell_of_held_out(const data::TokenizeProgress& done) const {
    const std::string folder = held_out_folder();
    if (held_out_ == 0) {
      if (data::recorded_tokenizer(folder).empty()) return;
      note(core::message(folder, " is there from another run: its documents may be in ", output_,
                         " now, which was made without --held-out"));
      return;
    }
    const auto percent = [](int64_t part, int64_t rest) {
      const double share = static_cast<double>(part) / static_cast<double>(part + rest);
      return core::message(std::round(1000 * share) / 10, " %");
    };
    std::cout << folder << ": held out " << done.held_out_documents << " documents ("
              << percent(done.held_out_documents, done.documents) << "), " << done.held_out_tokens
              << " tokens (" << percent(done.held_out_tokens, done.tokens) << ")" << std::endl;
    const double share = static_cast<double>(done.held_out_tokens) /
                         static_cast<double>(done.held_out_tokens + done.tokens);
    if (share > 2 * held_out_ || share < held_out_ / 2) {
      note(core::message("documents are few or of very unequal length: --held-out ", held_out_,
                         " holds out ", percent(done.held_out_tokens, done.tokens),
                         " of the tokens"));
    }
  }

  CLI::App* command_ = nullptr;
  std::string tokenizer_ = "byte";
  std::string output_;
  std::string text_key_ = "text";
  std::vector<std::string> extensions_, inputs_;
  std::string end_of_document_, held_out_folder_;
  double held_out_ = 0;
  bool frame_ = false, skip_bad_records_ = false, any_bytes_ = false;
  int64_t minimum_bytes_ = 0, threads_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_tokenize_command() { return std::make_unique<TokenizeCommand>(); }

}  // namespace longhaul::launch
