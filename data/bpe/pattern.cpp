#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/bpe/pattern.h"

#include <glog/logging.h>
#include <pcre2.h>

#include <array>

#include "data/bpe/pattern_dialect.h"
#include "kernels/core/error.h"
#include "kernels/core/handle.h"

namespace longhaul::data {

namespace {
void free_code(pcre2_code* code) { ::pcre2_code_free(code); }
void free_match_data(pcre2_match_data* data) { ::pcre2_match_data_free(data); }
void free_match_context(pcre2_match_context* context) { ::pcre2_match_context_free(context); }
void free_jit_stack(pcre2_jit_stack* stack) { ::pcre2_jit_stack_free(stack); }

using Code = core::UniqueHandle<pcre2_code*, &free_code>;

constexpr size_t kFirstStack = size_t{32} << 10;
constexpr size_t kMostStack = size_t{64} << 20;

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string text_of_error(int number) {
  std::array<PCRE2_UCHAR, 256> text{};
  ::pcre2_get_error_message(number, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

/// Compiles a translated pattern; `problem` gets what is wrong.
Code compile(const std::string& pattern, std::string& problem) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(::pcre2_compile(units(pattern), pattern.size(), PCRE2_UTF | PCRE2_UCP, &error, &offset,
                            nullptr));
  if (!code) problem = text_of_error(error);
  return code;
}
}  // namespace

struct Pattern::Code {
  data::Code code;
};

struct Pattern::Scratch::State {
  core::UniqueHandle<pcre2_match_data*, &free_match_data> match{
      ::pcre2_match_data_create(1, nullptr)};
  core::UniqueHandle<pcre2_match_context*, &free_match_context> context{
      ::pcre2_match_context_create(nullptr)};
  core::UniqueHandle<pcre2_jit_stack*, &free_jit_stack> stack{
      ::pcre2_jit_stack_create(kFirstStack, kMostStack, nullptr)};
};

Pattern::Scratch::Scratch() : state_(std::make_unique<State>()) {
  CHECK(state_->match && state_->context) << "out of memory";
  if (state_->stack) ::pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
}
Pattern::Scratch::~Scratch() = default;
Pattern::Scratch::Scratch(Scratch&&) noexcept = default;
Pattern::Scratch& Pattern::Scratch::operator=(Scratch&&) noexcept = default;

Pattern::Pattern(const std::string& pattern) {
  std::string problem;
  const std::string translated = translate_pattern(pattern, problem);
  if (problem.empty()) code_ = std::make_unique<Code>(Code{compile(translated, problem)});
  if (!problem.empty()) throw core::InputError(problem);
  // Without JIT (another processor, or a hardened system) the interpreter does the same, slower.
  ::pcre2_jit_compile(code_->code.get(), PCRE2_JIT_COMPLETE);
}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

std::string Pattern::problem_of(const std::string& pattern) {
  std::string problem;
  const std::string translated = translate_pattern(pattern, problem);
  if (problem.empty()) compile(translated, problem);
  return problem;
}

Pattern::Match Pattern::find(std::string_view text, size_t from, Scratch& scratch) const {
  auto& state = *scratch.state_;
  const int found = ::pcre2_match(code_->code.get(), units(text), text.size(), from,
                                  PCRE2_NO_UTF_CHECK, state.match.get(), state.context.get());
  if (found == PCRE2_ERROR_NOMATCH) return {};
  if (found < 0)
    throw core::InputError(
        core::message("pre_tokenizer: a pattern cannot be matched: ", text_of_error(found)));
  const PCRE2_SIZE* borders = ::pcre2_get_ovector_pointer(state.match.get());
  return {borders[0], borders[1], true};
}

}  // namespace longhaul::data
