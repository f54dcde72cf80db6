"""longhaul forward against the plain recurrence in torch float64 autograd (recurrence.py)."""

import random

import pytest
import torch
from torch.nn.functional import cross_entropy

from comparison import assert_alike, with_prefix
from random_model import configuration, mamba1_configuration, random_weights, write_folder
from recurrence import recurrence

# name → configuration, batch, length: lengths around the chunk, odd sizes, every switch both ways.
CASES = {
    "plain": (configuration(), 2, 21),
    "one_chunk": (configuration(chunk_size=16), 1, 16),
    "groups": (configuration(num_heads=8, head_dim=6, n_groups=8, tie_word_embeddings=False), 2, 9),
    "odd": (configuration(vocab_size=11, hidden_size=13, num_heads=6, head_dim=5, state_size=7,
                          n_groups=3, conv_kernel=3, chunk_size=5, use_bias=True,
                          use_conv_bias=False, num_hidden_layers=3), 3, 17),
    "clamped_steps": (configuration(time_step_limit=[0.1, 0.4]), 2, 12),
    "two_taps": (configuration(conv_kernel=2, tie_word_embeddings=False), 1, 7),
    "short": (configuration(), 2, 4),
    "no_conv_state": (configuration(conv_kernel=1), 1, 7),
    "wide": (configuration(num_heads=2, head_dim=64, state_size=128, hidden_size=32), 1, 11),
    "mamba1": (mamba1_configuration(), 2, 21),
    "mamba1_odd": (mamba1_configuration(
        vocab_size=11, hidden_size=13, intermediate_size=31, state_size=7, time_step_rank=5,
        conv_kernel=3, use_bias=True, use_conv_bias=False, num_hidden_layers=3,
        tie_word_embeddings=False), 3, 17),
    "mamba1_long": (mamba1_configuration(num_hidden_layers=1), 1, 131),
    "mamba1_short": (mamba1_configuration(), 2, 4),
    "mamba1_no_conv_state": (mamba1_configuration(conv_kernel=1), 1, 7),
    "mamba1_state_of_one": (mamba1_configuration(state_size=1, time_step_rank=1), 2, 9),
}
# Shares that are uneven, and in the last shorter than what the convolution looks back.
SHARED = ["plain", "odd", "groups", "two_taps", "short", "mamba1", "mamba1_odd", "mamba1_long",
          "mamba1_short"]


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A model folder, tokens, initial states, and what the recurrence makes of them."""
    return expected_of(request.param, tmp_path_factory)


def expected_of(name, tmp_path_factory):
    return expected(*CASES[name], tmp_path_factory.mktemp(name))


def expected(config, batch, length, folder):
    weights = random_weights(config)
    write_folder(folder / "model", config, weights)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(config["vocab_size"], (batch, length + 1), generator=generator)
    initial = {key: torch.randn(zero.shape, generator=generator)
               for key, zero in recurrence(config, weights).zero_states(batch).items()}

    exact = {key: value.double().requires_grad_() for key, value in weights.items()}
    states = {key: value.double().requires_grad_() for key, value in initial.items()}
    logits, final = recurrence(config, exact).run(tokens[:, :-1], states)
    loss = cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    gradients = ({key: value.grad for key, value in exact.items()}
                 | {"initial." + key: value.grad for key, value in states.items()})
    results = ({"logits": logits, "loss": loss.reshape(1)}
               | {"final." + key: value for key, value in final.items()}
               | {"grad." + key: value for key, value in gradients.items()})
    return folder, tokens, initial, {key: value.detach() for key, value in results.items()}


def test_fp64_equals_the_recurrence(longhaul, case):
    folder, tokens, initial, expected = case
    ours = longhaul.forward(folder, folder / "model", tokens, "--grad", "--dtype", "fp64",
                            states=initial)
    assert ours["logits"].dtype == torch.float64
    assert_alike(ours, expected, 1e-9)


def test_fp32_equals_the_recurrence(longhaul, case):
    folder, tokens, initial, expected = case
    ours = longhaul.forward(folder, folder / "model", tokens, "--grad", states=initial)
    assert_alike(ours, expected, 1e-4)


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("name", SHARED)
def test_ranks_that_share_a_sequence_equal_the_recurrence(longhaul, tmp_path_factory, name, ranks):
    folder, tokens, initial, expected = expected_of(name, tmp_path_factory)
    ours = longhaul.forward(folder, folder / "model", tokens, "--grad", "--dtype", "fp64",
                            states=initial, ranks=ranks)
    assert_alike(ours, expected, 1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_any_shape_equals_the_recurrence(longhaul, tmp_path, seed):
    choose = random.Random(seed)
    groups = choose.randint(1, 4)
    config = configuration(
        vocab_size=choose.randint(2, 70), hidden_size=choose.randint(1, 40), n_groups=groups,
        num_heads=groups * choose.randint(1, 3), head_dim=choose.randint(1, 40),
        state_size=choose.randint(1, 70), conv_kernel=choose.randint(1, 8),
        chunk_size=choose.choice([1, 2, 3, 7, 16, 17]), num_hidden_layers=choose.randint(1, 3),
        use_bias=choose.random() < 0.5, use_conv_bias=choose.random() < 0.5,
        tie_word_embeddings=choose.random() < 0.5)
    folder, tokens, initial, results = expected(
        config, choose.randint(1, 3), choose.randint(3, 24), tmp_path)
    ours = longhaul.forward(folder, folder / "model", tokens, "--grad", "--dtype", "fp64",
                            states=initial, ranks=choose.choice([None, 2, 3]))
    assert_alike(ours, results, 1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_any_shape_of_mamba1_equals_the_recurrence(longhaul, tmp_path, seed):
    choose = random.Random(100 + seed)
    config = mamba1_configuration(
        vocab_size=choose.randint(2, 70), hidden_size=choose.randint(1, 40),
        intermediate_size=choose.randint(1, 90), state_size=choose.randint(1, 40),
        time_step_rank=choose.randint(1, 20), conv_kernel=choose.randint(1, 8),
        num_hidden_layers=choose.randint(1, 3), use_bias=choose.random() < 0.5,
        use_conv_bias=choose.random() < 0.5, tie_word_embeddings=choose.random() < 0.5)
    folder, tokens, initial, results = expected(
        config, choose.randint(1, 3), choose.choice([3, 24, 65, 130]), tmp_path)
    ours = longhaul.forward(folder, folder / "model", tokens, "--grad", "--dtype", "fp64",
                            states=initial, ranks=choose.choice([None, 2, 3]))
    assert_alike(ours, results, 1e-9)


@pytest.mark.parametrize("name", ["plain", "mamba1"])
def test_without_initial_states_they_are_zero(longhaul, tmp_path_factory, name):
    folder, tokens, initial, _ = expected_of(name, tmp_path_factory)
    zeros = {key: torch.zeros_like(value) for key, value in initial.items()}
    given = longhaul.forward(folder, folder / "model", tokens, states=zeros)
    absent = longhaul.forward(folder, folder / "model", tokens)
    assert with_prefix(given, "final.").keys() == initial.keys()
    assert_alike(absent, given, 0)


@pytest.mark.parametrize("name", ["odd", "mamba1_odd"])
def test_the_recurrence_continues_from_its_own_states(name):
    """The oracle itself: two halves with the states handed over are the whole."""
    config, batch, length = CASES[name]
    weights = {key: value.double() for key, value in random_weights(config).items()}
    tokens = torch.randint(config["vocab_size"], (batch, length))
    model = recurrence(config, weights)
    whole, final = model.run(tokens)
    first, between = model.run(tokens[:, :5])
    second, end = model.run(tokens[:, 5:], between)
    assert_alike({"logits": torch.cat([first, second], 1)} | end, {"logits": whole} | final, 0)
