"""Parity with transformers' Mamba2ForCausalLM and MambaForCausalLM: logits, loss, every gradient, greedy generation; its
folders read here, ours read there.

With groups, mamba_ssm normalises the gated output of the mixer per group, and so does longhaul. The
transformers installed here does too; earlier releases take the norm over the full width whatever
the groups (see the last test), so models with groups > 1 come out differently there.
"""

import pytest
import torch
from transformers import AutoModelForCausalLM, DynamicCache, Mamba2Config, MambaConfig

from comparison import assert_alike, relative_error, with_prefix
from random_model import configuration, mamba1_configuration, random_weights

# name → configuration, lengths (around the chunk, one token, several chunks).
CASES = {
    "head_dim_64_state_128": (
        configuration(hidden_size=64, num_heads=2, head_dim=64, state_size=128, chunk_size=32),
        [31, 32, 33]),
    "groups_8_state_16": (
        configuration(hidden_size=128, num_heads=8, head_dim=32, state_size=16, n_groups=8,
                      chunk_size=16, tie_word_embeddings=False), [15, 16, 17, 49]),
    "groups_8_head_dim_64": (
        configuration(hidden_size=256, num_heads=8, head_dim=64, state_size=32, n_groups=8,
                      chunk_size=64), [1, 63, 129]),
    "odd_sizes": (
        configuration(vocab_size=101, hidden_size=80, num_heads=5, head_dim=32, state_size=40,
                      chunk_size=24, num_hidden_layers=3, use_bias=True, use_conv_bias=False,
                      tie_word_embeddings=False), [23, 50]),
    "clamped_steps": (
        configuration(hidden_size=48, num_heads=3, head_dim=32, state_size=64, chunk_size=32,
                      time_step_limit=[0.05, 0.5]), [40]),
    "released_shape": (
        configuration(vocab_size=512, hidden_size=128, num_heads=4, head_dim=64, state_size=128,
                      chunk_size=256, num_hidden_layers=4), [257]),
    "mamba1": (mamba1_configuration(tie_word_embeddings=False), [1, 63, 64, 65, 130]),
    "mamba1_odd_sizes": (
        mamba1_configuration(vocab_size=101, hidden_size=50, intermediate_size=150, state_size=9,
                             time_step_rank=7, conv_kernel=3, num_hidden_layers=3, use_bias=True,
                             use_conv_bias=False), [23, 70]),
    "mamba1_released_shape": (
        mamba1_configuration(vocab_size=512, hidden_size=128, intermediate_size=256,
                             time_step_rank=8, num_hidden_layers=4), [200]),
}
MAMBA1 = [name for name in CASES if name.startswith("mamba1")]
CONFIGURATIONS = {name: config for name, (config, _) in CASES.items()}
WITH_LENGTH = [(name, length) for name, (_, lengths) in CASES.items() for length in lengths]


def peer_model(config):
    known = {key: value for key, value in config.items() if key != "architectures"}
    known["expand"] = int(known["expand"])
    kind = MambaConfig if config["model_type"] == "mamba" else Mamba2Config
    model = AutoModelForCausalLM.from_config(kind(**known, eos_token_id=None))
    result = model.load_state_dict(random_weights(config), strict=False)
    tied = {"lm_head.weight"} if config["tie_word_embeddings"] else set()
    assert not result.unexpected_keys and set(result.missing_keys) <= tied
    return model.eval()


@pytest.fixture(scope="module")
def their_folders(tmp_path_factory):
    """name → (model, folder that it saved)"""
    folders = {}
    for name, config in CONFIGURATIONS.items():
        model = peer_model(config)
        folder = tmp_path_factory.mktemp(name)
        model.save_pretrained(folder / "theirs")
        folders[name] = model, folder
    return folders


def random_tokens(config, *shape):
    return torch.randint(config["vocab_size"], shape, generator=torch.Generator().manual_seed(3))


def continuation(model, prompt, tokens=64):
    prompts = torch.tensor([prompt])
    # Without a mask it would take tokens of the prompt that equal pad_token_id for padding.
    out = model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=tokens,
                         do_sample=False)
    return out[0, len(prompt):].tolist()


@pytest.mark.parametrize("name, length", WITH_LENGTH)
def test_logits_loss_and_gradients(longhaul, their_folders, name, length):
    model, folder = their_folders[name]
    tokens = random_tokens(CONFIGURATIONS[name], 2, length + 1)
    model.zero_grad()
    theirs = model(tokens, labels=tokens, use_cache=False)
    theirs.loss.backward()

    ours = longhaul.forward(folder, folder / "theirs", tokens, "--grad")
    assert relative_error(ours["logits"], theirs.logits[:, :-1].detach()) <= 1e-4
    assert relative_error(ours["loss"], theirs.loss.detach().reshape(1)) <= 1e-4
    gradients = {key: value for key, value in with_prefix(ours, "grad.").items()
                 if not key.startswith("initial.")}
    assert_alike(gradients, {key: p.grad for key, p in model.named_parameters()}, 1e-3)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_final_states_are_those_of_its_cache(longhaul, their_folders, name):
    model, folder = their_folders[name]
    tokens = random_tokens(CONFIGURATIONS[name], 2, 37)
    with torch.no_grad():
        layers = model(tokens, use_cache=True).cache.layers
    ours = longhaul.forward(folder, folder / "theirs", tokens)
    taps = CONFIGURATIONS[name]["conv_kernel"] - 1
    theirs = {}
    for i, layer in enumerate(layers):
        theirs[f"ssm.{i}"] = layer.recurrent_states[0]
        theirs[f"conv.{i}"] = layer.conv_states[0][:, :, -taps:].transpose(1, 2)
    assert_alike(with_prefix(ours, "final."), theirs, 1e-4)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_generation_is_the_same_token_for_token(longhaul, their_folders, name):
    model, folder = their_folders[name]
    if CONFIGURATIONS[name].get("time_step_limit", [0])[0] > 0:
        # Its one-token step forgets the limits that its chunked form obeys, ours never does.
        assert continuation(model, [1, 2, 3]) != longhaul.continuation(
            folder / "theirs", [1, 2, 3], 64)
        return
    for length in (1, 40):
        prompt = random_tokens(CONFIGURATIONS[name], length).tolist()
        ours = longhaul.continuation(folder / "theirs", prompt, 64)
        assert len(ours) == 64 and len(set(ours)) > 8
        assert ours == continuation(model, prompt)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_what_we_export_is_the_same_model_there(longhaul, their_folders, name):
    model, folder = their_folders[name]
    longhaul.run("export", "--model", folder / "theirs", "--format", "hf", "--out", folder / "ours")
    back, report = AutoModelForCausalLM.from_pretrained(folder / "ours", output_loading_info=True)
    assert not any(report.values()), report
    for (key, ours), (_, theirs) in zip(back.state_dict().items(), model.state_dict().items()):
        assert torch.equal(ours, theirs), key
    different = {key: (value, back.config.to_dict().get(key))
                 for key, value in model.config.to_dict().items()
                 if key in CONFIGURATIONS[name] and back.config.to_dict().get(key) != value}
    assert not different
    tokens = random_tokens(CONFIGURATIONS[name], 2, 33)
    with torch.no_grad():
        assert torch.equal(back(tokens).logits, model(tokens).logits)


@pytest.mark.parametrize("name", MAMBA1)
def test_states_passed_on(longhaul, their_folders, name):
    """What longhaul leaves after the first half begins transformers' second, and the reverse."""
    model, folder = their_folders[name]
    tokens = random_tokens(CONFIGURATIONS[name], 2, 40)
    first, second = tokens.split([25, 15], dim=1)
    whole = longhaul.forward(folder, folder / "theirs", tokens)
    states = with_prefix(longhaul.forward(folder, folder / "theirs", first), "final.")
    cache = DynamicCache(config=model.config)
    for i in range(model.config.num_hidden_layers):
        conv = torch.nn.functional.pad(states[f"conv.{i}"].transpose(1, 2), (1, 0))
        cache.update_conv_state(conv, i, conv_kernel_size=model.config.conv_kernel)
        cache.update_recurrent_state(states[f"ssm.{i}"], i)
    with torch.no_grad():  # of several tokens at once it begins from zeros
        theirs = torch.cat([model(token, cache=cache, use_cache=True).logits
                            for token in second.split(1, dim=1)], dim=1)
        layers = model(first, use_cache=True).cache.layers
    assert relative_error(theirs, whole["logits"][:, 25:]) <= 1e-4
    taps = model.config.conv_kernel - 1
    given = {}
    for i, layer in enumerate(layers):
        given[f"ssm.{i}"] = layer.recurrent_states[0].contiguous()
        given[f"conv.{i}"] = layer.conv_states[0][:, :, -taps:].transpose(1, 2).contiguous()
    ours = longhaul.forward(folder, folder / "theirs", second, states=given)
    assert relative_error(ours["logits"], whole["logits"][:, 25:]) <= 1e-4


def test_shards_are_read(longhaul, their_folders):
    model, folder = their_folders["released_shape"]
    model.save_pretrained(folder / "shards", max_shard_size="300KB")
    assert len(list((folder / "shards").glob("model-*.safetensors"))) > 3
    tokens = random_tokens(CONFIGURATIONS["released_shape"], 1, 20)
    whole = longhaul.forward(folder, folder / "theirs", tokens)
    assert_alike(longhaul.forward(folder, folder / "shards", tokens), whole, 0)


SHAPES = {
    "mamba2": "heads: 4, head_dim: 32, state_dim: 32, groups: 2, chunk: 16",
    "mamba1": "architecture: mamba1, heads: 128, head_dim: 1, state_dim: 16",
}
RUN = """
model: {shape: {vocabulary: 0, width: 64, layers: 2, tied: false, SHAPE}}
data: {kind: recall, length: 64, sequences: 8, recall: {keys: 24, values: 8, reach: 7}}
optimizer: {rate: 3e-3}
schedule: {steps: 20, warmup: 2}
run: {folder: FOLDER}
"""


@pytest.mark.parametrize("shape", SHAPES)
def test_what_we_train_generates_the_same_there(longhaul, tmp_path, shape):
    run = RUN.replace("FOLDER", str(tmp_path / "run")).replace("SHAPE", SHAPES[shape])
    (tmp_path / "run.yaml").write_text(run)
    longhaul.run("train", tmp_path / "run.yaml")
    longhaul.run("export", "--model", tmp_path / "run/model", "--format", "hf",
                 "--out", tmp_path / "exported")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "exported").eval()
    model.generation_config.eos_token_id = None
    tokens = torch.randint(model.config.vocab_size, (2, 50))
    ours = longhaul.forward(tmp_path, tmp_path / "run/model", tokens)
    with torch.no_grad():
        assert relative_error(ours["logits"], model(tokens).logits) <= 1e-4
    prompt = tokens[0].tolist()
    assert longhaul.continuation(tmp_path / "run/model", prompt, 64) == continuation(model, prompt)


def test_a_norm_over_the_full_width_is_told_apart(longhaul, their_folders):
    for name, groups_matter in (("groups_8_state_16", True), ("head_dim_64_state_128", False)):
        _, folder = their_folders[name]
        old = peer_model(CONFIGURATIONS[name])
        for layer in old.backbone.layers:
            layer.mixer.norm.group_size = layer.mixer.intermediate_size
        tokens = random_tokens(CONFIGURATIONS[name], 2, 20)
        with torch.no_grad():
            error = relative_error(longhaul.forward(folder, folder / "theirs", tokens)["logits"],
                                   old(tokens).logits)
        assert error > 1e-2 if groups_matter else error <= 1e-4
