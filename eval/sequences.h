// What measures over sequences read, and how: the options and the sources that they share.
#pragma once

#include <cstdint>
#include <string>

#include "data/recall_task.h"
#include "data/samplers.h"
#include "data/token_data.h"
#include "dist/mesh.h"
#include "eval/sequence_reader.h"
#include "eval/unit_run.h"
#include "model/language_model.h"

namespace longhaul::eval {

struct CurveOptions {
  int64_t length = 8192, sequences = 8;
  int64_t piece = 2048;  ///< tokens of a sequence read at a time (over all its sequence ranks)
  int64_t batch = 8;     ///< sequences run at a time on a data rank
  int64_t training_length = 0;  ///< states and effrem: measured there too; 0: not known
  std::string model;            ///< only noted
  uint64_t seed = 0;
  data::WindowBegin windows = data::WindowBegin::kDocument;  ///< text
  bool states = true;  ///< curves of labels: with the statistics of the states
  int64_t window = 0;  ///< curves of labels: each sequence in windows of so many tokens, each from
                       ///< the initial state (eval/windows.h); 0: whole
  const model::RecurrentState* start =
      nullptr;  ///< of one sequence: what each begins from, else zeros
  Continuation continuation;
};

/// Sequences of `options.length` tokens: `options.sequences`, of text that has too few long
/// documents as many as do not overlap.
struct Sequences {
  int64_t count = 0;
  std::string task;    ///< "text" or "recall"
  std::string source;  ///< for messages
  ReaderOf reader_of;
  int64_t vocabulary = 0;       ///< tokens are below it
  int64_t most_reach = 0;       ///< of queries (recall); 0: there are none
  int64_t whole_documents = 0;  ///< documents of the data that were long enough (text)
  bool inside_documents = true;
  std::string windows;  ///< text inside documents: "document" or "inside", where they begin
  Identity identity;    ///< of the task or the tokens
};
/// `folder` must outlive the result. InputError where the data is shorter than one sequence. Of
/// recall queries alone count, whatever label_all says.
Sequences text_sequences(const data::TokenData& folder, const CurveOptions& options);
Sequences recall_sequences(const data::RecallTask& asked, const CurveOptions& options);

/// InputError for options out of range and for a vocabulary that the model lacks.
void check(const CurveOptions& options, const Sequences& sequences,
           const model::LanguageModel& model);

/// The continuation of `measure`: its identity names model, sequences, options and mesh, its
/// notes the place of the data.
Continuation continuation_of(const std::string& measure, const CurveOptions& options,
                             const Sequences& sequences, const dist::Mesh& mesh,
                             const model::LanguageModel& model);

/// Of an evaluation's identity what decides which sequences it read; empty where it does not say.
Identity sequences_read(const Identity& measured);

/// Says so where `count` are fewer than were asked for (0: not known); "" elsewhere.
std::string shortage(int64_t count, int64_t asked);
/// The same as a line of a table.
std::string shortage_line(int64_t count, int64_t asked);

Readers readers_of(const Sequences& sequences, int64_t first, int64_t count);

/// Of the mean; NaN for fewer than two values, which say nothing of chance.
double standard_error(const std::vector<double>& values);

}  // namespace longhaul::eval
