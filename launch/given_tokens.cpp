#include "launch/given_tokens.h"

#include "data/tokenizer_files.h"
#include "kernels/core/error.h"
#include "kernels/core/fields.h"
#include "launch/model_tokenizer.h"
#include "model/checkpoint/byte_tokenizer.h"

namespace longhaul::launch {

namespace {
using core::message;

/// "" where the name says nothing that can be compared.
std::string identity_of(const std::string& name) {
  const std::string identity = data::tokenizer_identity(name);
  // What export --tokenizer byte writes.
  const bool is_byte_file =
      identity == data::identity_of_tokenizer_text(model::byte_tokenizer_json());
  if (identity == "byte" || is_byte_file) return "byte";
  return identity.starts_with('(') ? identity : "";
}

/// What the problem begins with, if that is `from`.
void rename(std::string& problem, const std::string& from, const std::string& to) {
  if (problem.starts_with(from + ": ")) problem.replace(0, from.size(), to);
}
}  // namespace

bool is_byte_tokenizer(const std::string& name) { return identity_of(name) == "byte"; }

NamedTokenizer tokenizer_known_to(const std::filesystem::path& model) {
  return {.by = "the model " + model.string(), .name = tokens_of_model(model)};
}

std::unique_ptr<data::Tokenizer> make_given_tokenizer(const std::string& by,
                                                      const std::string& specification,
                                                      const std::string& end_of_document) {
  try {
    return data::make_tokenizer(specification, end_of_document);
  } catch (const core::InputError& error) {
    core::Problems problems = error.problems();
    for (std::string& problem : problems) {
      rename(problem, "tokenizer", by);
      rename(problem, "end of document", "--end-of-document");
    }
    throw core::InputError(problems);
  }
}

void expect_same_tokenizer(const NamedTokenizer& found, const NamedTokenizer& expected,
                           const std::string& escape) {
  const std::string one = identity_of(found.name), other = identity_of(expected.name);
  if (one.empty() || other.empty() || one == other) return;
  throw core::InputError(message(found.by, ": is of the tokenizer '", found.name, "', ",
                                 expected.by, " of '", expected.name,
                                 "': the same token is another text there; expected the same "
                                 "tokenizer, or ",
                                 escape, " to go on all the same"));
}

void expect_agreement(const data::TokenData& tokens, const data::TokenDataOptions& given,
                      const TokenOptionNames& names) {
  if (tokens.tokenizer().empty()) return;  // files of others, which leave it to the options
  core::Problems problems;
  const auto check = [&](const std::string& option, int64_t found, int64_t said) {
    if (found != said) {
      problems.push_back(message(option, ": is ", found, ", but ", tokens.path().string(), " says ",
                                 said, " itself; expected no ", option));
    }
  };
  if (given.vocabulary > 0) check(names.vocabulary, given.vocabulary, tokens.vocabulary());
  if (given.end_of_document >= 0) {
    check(names.end, given.end_of_document, tokens.end_of_document());
  }
  if (!problems.empty()) throw core::InputError(problems);
}

}  // namespace longhaul::launch
