#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/forward_files.h"
#include "launch/rank_session.h"
#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/model_folder.h"
#include "model/state_handover.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::DType;
using core::InputError;
using core::message;
using core::Tensor;
using core::TensorView;

/// This rank's share of the sequences, and how it works with the others.
class ShardedForward {
 public:
  ShardedForward(const dist::Mesh& mesh, model::LanguageModel& model, int64_t batch, int64_t length)
      : group_(mesh.sequence_group()),
        model_(model),
        context_(model.context()),
        batch_(batch),
        length_(length),
        segment_(dist::segment_of(length, group_.size(), group_.rank())) {
    if (group_.size() == 1) return;
    std::vector<int64_t> lengths;
    for (int rank = 0; rank < group_.size(); ++rank) {
      lengths.push_back(dist::segment_of(length, group_.size(), rank).length());
    }
    // A fixed algorithm: an oracle's numbers must not hang on a measurement.
    states_.emplace(context_, group_, dist::ExchangeAlgorithm::kAllGather);
    halo_.emplace(context_, group_, lengths);
    parallel_ = {.states = &*states_, .halo = &*halo_, .full_gradient = true};
  }

  const model::SequenceParallel* parallel() const {
    return group_.size() == 1 ? nullptr : &parallel_;
  }

  /// This rank's columns, moved by `shift`, of rows that are `row_length` long.
  Tensor columns(const TokenMatrix& matrix, int64_t shift) const {
    const TensorView all(const_cast<int32_t*>(matrix.tokens.data()), DType::kI32,
                         {batch_, matrix.length});
    return Tensor::copy_of(context_, all.slice(1, segment_.begin + shift, segment_.end + shift));
  }

  /// Logits of the whole sequence on the first rank (absent on others).
  Tensor logits(const model::RecurrentState* initial, const TokenMatrix& matrix,
                model::RecurrentState& final_state) {
    const int64_t vocabulary = model_.config().vocabulary;
    const Tensor tokens = columns(matrix, 0);
    Tensor own(context_, model_.dtype(), {batch_, segment_.length(), vocabulary});
    model::ForwardPass pass;
    pass.tokens = tokens;
    pass.initial = initial;
    pass.final_state = &final_state;
    pass.parallel = parallel();
    pass.logits = own;
    model_.forward(pass);
    if (group_.size() == 1) return own;
    const bool is_first = group_.rank() == 0;
    Tensor whole;
    if (is_first) whole = Tensor(context_, model_.dtype(), {batch_, length_, vocabulary});
    for (int rank = 0; rank < group_.size(); ++rank) {
      const auto theirs = dist::segment_of(length_, group_.size(), rank);
      Tensor arriving;
      std::vector<dist::Transfer> sends, receives;
      if (is_first && rank > 0) {
        arriving = Tensor(context_, model_.dtype(), {batch_, theirs.length(), vocabulary});
        receives.push_back({arriving, rank});
      }
      if (!is_first && rank == group_.rank()) sends.push_back({own, 0});
      group_.start_transfers(sends, receives)->wait();
      if (!is_first) continue;
      core::copy(context_, rank == 0 ? own : arriving,
                 whole.view().slice(1, theirs.begin, theirs.end));
    }
    return whole;
  }

  /// Gradients of the whole model and of the initial state; returns the mean loss.
  double gradients(const model::RecurrentState* initial, const TokenMatrix& matrix,
                   model::RecurrentState& dinitial) {
    const Tensor tokens = columns(matrix, 0);
    const Tensor labels = columns(matrix, 1);
    core::set_zero(context_, model_.parameters().gradients());
    model::TrainStep step;
    step.tokens = tokens;
    step.labels = labels;
    step.initial = initial;
    step.scale = 1.0 / static_cast<double>(batch_ * length_);
    step.dinitial = &dinitial;
    step.parallel = parallel();
    const double sum = group_.sum(model_.forward_backward(step).sum);
    group_.all_reduce_sum(model_.parameters().gradients());
    return sum * step.scale;
  }

 private:
  dist::Communicator& group_;
  model::LanguageModel& model_;
  core::Context& context_;
  int64_t batch_, length_;
  dist::Segment segment_;
  std::optional<dist::StateExchange> states_;
  std::optional<dist::HaloExchange> halo_;
  model::SequenceParallel parallel_;
};

class ForwardCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("forward",
                                      "Logits, states and gradients of given tokens, as a file");
    command_->add_option("--model", model_, "run, model folder, training checkpoint or GGUF file")
        ->required();
    command_
        ->add_option("--tokens", tokens_,
                     "safetensors with tokens I32 [batch, length]; with --grad one token more, "
                     "which is only a label")
        ->required();
    command_->add_option("--out", output_, "safetensors to write")->required();
    command_->add_option("--initial-state", initial_,
                         "safetensors with ssm.LAYER F32 [batch, heads, head_dim, state] (Mamba-1: "
                         "[batch, channels, state]) and conv.LAYER F32 [batch, d_conv - 1, "
                         "channels]; [1, ...] is every "
                         "sequence's; default: zeros");
    command_->add_flag("--grad", grad_,
                       "loss and every gradient too, the initial state's included");
    command_
        ->add_option("--sequence-ranks", sequence_ranks_,
                     "ranks that share each sequence; default: all started")
        ->check(whole_number(1));
    compute_.describe(*command_);
    command_->footer(
        "Example:\n  longhaul forward --model base --tokens tokens.safetensors --out "
        "out.safetensors --grad");
  }
  bool chosen() const override { return command_->parsed(); }
  bool uses_ranks() const override { return true; }

  int run(RankSession& session) override {
    const int ranks = session.world().size();
    if (sequence_ranks_ != 0 && sequence_ranks_ != ranks) {
      throw InputError(message("--sequence-ranks: found ", sequence_ranks_, ", expected the ",
                               ranks,
                               ranks == 1 ? " rank started (use mpirun)" : " ranks started"));
    }
    refuse_own_input("--tokens", tokens_);
    refuse_own_input("--initial-state", initial_);
    refuse_own_input("--model", model_);
    core::Context context = make_context(compute_, session);
    DeviceWorld world(session, context, dist::MpiSession::Options{}.time_limit_s);
    return world.run([&] { return run_on(session, world.get(), context); });
  }

 private:
  int run_on(RankSession& session, dist::Communicator& world, core::Context& context) const {
    const int ranks = world.size();
    const dist::Mesh mesh = make_mesh(world, ranks);
    const dist::Busy busy(session.world(), "forward");
    const auto model = model::load_model(context, model_, compute_.element_type());
    const TokenMatrix matrix = read_tokens(tokens_, model->config().vocabulary);
    const int64_t length = matrix.length - (grad_ ? 1 : 0);
    if (length < ranks) {
      throw InputError(message(tokens_, ": tensor tokens: found length ", matrix.length,
                               ", expected at least ", ranks + (grad_ ? 1 : 0)));
    }
    model::RecurrentState initial = model->make_state(matrix.batch);
    if (!initial_.empty()) initial = read_states(initial_, *model, matrix.batch);
    session.set_activity("forward");
    compute(session, mesh, *model, matrix, initial);
    session.world().barrier();
    return kDone;
  }

  void refuse_own_input(const char* option, const std::string& input) const {
    std::error_code error;  // of files that are not there
    if (!fs::equivalent(input, output_, error)) return;
    throw InputError(message("--out: is the file of ", option, ", expected another one"));
  }

  void compute(RankSession& session, const dist::Mesh& mesh, model::LanguageModel& model,
               const TokenMatrix& matrix, const model::RecurrentState& initial) const {
    const int64_t length = matrix.length - (grad_ ? 1 : 0);
    ShardedForward forward(mesh, model, matrix.batch, length);
    model::RecurrentState final_state = model.make_state(matrix.batch);
    model::RecurrentState dinitial = model.make_state(matrix.batch);
    const Tensor logits = forward.logits(&initial, matrix, final_state);
    model::hand_to_first_rank(mesh.sequence_group(), final_state);
    Tensor loss = Tensor::zeros(model.context(), core::state_dtype(model.dtype()), {1});
    if (grad_) set_only(loss, forward.gradients(&initial, matrix, dinitial));
    if (!session.is_first()) return;

    OutputTensors output;
    const Tensor wide = widened(model.context(), logits);
    output.add("logits", wide);
    output.add_states("final.", model, final_state);
    if (grad_) {
      output.add("loss", loss);
      output.add_states("grad.initial.", model, dinitial);
      const auto& parameters = model.parameters();
      for (const auto& parameter : parameters.list()) {
        output.add("grad." + parameter.name, parameters.gradient(parameter));
      }
    }
    model::make_folder_of(output_);
    output.write(output_);
  }

  /// As states are: in the file bf16 becomes fp32.
  static Tensor widened(core::Context& context, const Tensor& values) {
    Tensor wide(context, core::state_dtype(values.dtype()), values.shape());
    core::copy(context, values, wide);
    return wide;
  }

  static void set_only(const Tensor& tensor, double value) {
    float narrow = static_cast<float>(value);
    void* element = tensor.dtype() == DType::kF64 ? static_cast<void*>(&value) : &narrow;
    core::copy_now({element, tensor.dtype(), tensor.shape()}, tensor);
  }

  CLI::App* command_ = nullptr;
  std::string model_, tokens_, output_, initial_;
  bool grad_ = false;
  int64_t sequence_ranks_ = 0;
  ComputeOptions compute_;
};

}  // namespace

std::unique_ptr<Command> make_forward_command() { return std::make_unique<ForwardCommand>(); }

}  // namespace longhaul::launch
