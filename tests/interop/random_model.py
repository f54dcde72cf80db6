"""Model folders with random weights, written without longhaul or transformers."""

import json

import torch
from safetensors.torch import save_file

DEFAULTS = {
    "model_type": "mamba2", "architectures": ["Mamba2ForCausalLM"], "vocab_size": 29,
    "hidden_size": 24, "num_hidden_layers": 2, "num_heads": 4, "head_dim": 12, "state_size": 16,
    "n_groups": 1, "conv_kernel": 4, "chunk_size": 8, "use_bias": False, "use_conv_bias": True,
    "tie_word_embeddings": True, "layer_norm_epsilon": 1e-5, "hidden_act": "silu",
    "time_step_limit": [0.0, float("inf")],
}


MAMBA1_DEFAULTS = {
    "model_type": "mamba", "architectures": ["MambaForCausalLM"], "vocab_size": 29,
    "hidden_size": 24, "num_hidden_layers": 2, "intermediate_size": 48, "state_size": 16,
    "time_step_rank": 3, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True,
    "tie_word_embeddings": True, "layer_norm_epsilon": 1e-5, "hidden_act": "silu",
}


def configuration(**changes):
    config = DEFAULTS | changes
    config["expand"] = config["num_heads"] * config["head_dim"] / config["hidden_size"]
    return config


def mamba1_configuration(**changes):
    config = MAMBA1_DEFAULTS | changes
    config["expand"] = config["intermediate_size"] / config["hidden_size"]
    return config


def random_weights(config, seed=0):
    """name → float32 tensor. Magnitudes as in trained models: decays from slow to fast, steps from
    small to large, and nothing at the value it is initialised with."""
    random = torch.Generator().manual_seed(seed)
    width = config["hidden_size"]

    def normal(*shape, scale=1.0, mean=0.0):
        return mean + scale * torch.randn(*shape, generator=random)

    mixer = mamba1_mixer if config["model_type"] == "mamba" else mamba2_mixer
    # Small embeddings: the mixers decide what is said, or a tied model would only repeat itself.
    weights = {"backbone.embeddings.weight": normal(config["vocab_size"], width, scale=0.1)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"backbone.layers.{layer}."
        parts = mixer(config, normal)
        weights[prefix + "norm.weight"] = normal(width, scale=0.2, mean=1.0)
        weights |= {prefix + "mixer." + name: value for name, value in parts.items()}
    weights["backbone.norm_f.weight"] = normal(width, scale=0.2, mean=1.0)
    if not config["tie_word_embeddings"]:
        weights["lm_head.weight"] = normal(config["vocab_size"], width, scale=width**-0.5)
    return weights


def biases(config, normal, rows, channels):
    """Of the projection in, of `rows`; of the convolution; and of the projection out."""
    parts = {}
    if config["use_conv_bias"]:
        parts["conv1d.bias"] = normal(channels, scale=0.2)
    if config["use_bias"]:
        parts["in_proj.bias"] = normal(rows, scale=0.2)
        parts["out_proj.bias"] = normal(config["hidden_size"], scale=0.2)
    return parts


def mamba2_mixer(config, normal):
    width, heads = config["hidden_size"], config["num_heads"]
    inner = heads * config["head_dim"]
    channels = inner + 2 * config["n_groups"] * config["state_size"]
    return {
        "in_proj.weight": normal(inner + channels + heads, width, scale=width**-0.5),
        "conv1d.weight": normal(channels, 1, config["conv_kernel"], scale=0.5),
        "dt_bias": normal(heads, mean=-1.5),
        "A_log": normal(heads),
        "D": normal(heads),
        "norm.weight": normal(inner, scale=0.2, mean=1.0),
        "out_proj.weight": normal(width, inner, scale=inner**-0.5),
    } | biases(config, normal, inner + channels + heads, channels)


def mamba1_mixer(config, normal):
    width, inner = config["hidden_size"], config["intermediate_size"]
    size, rank = config["state_size"], config["time_step_rank"]
    return {
        "in_proj.weight": normal(2 * inner, width, scale=width**-0.5),
        "conv1d.weight": normal(inner, 1, config["conv_kernel"], scale=0.5),
        "x_proj.weight": normal(rank + 2 * size, inner, scale=inner**-0.5),
        "dt_proj.weight": normal(inner, rank, scale=rank**-0.5),
        "dt_proj.bias": normal(inner, mean=-1.5),
        "A_log": normal(inner, size),
        "D": normal(inner),
        "out_proj.weight": normal(width, inner, scale=inner**-0.5),
    } | biases(config, normal, 2 * inner, inner)


def write_folder(folder, config, weights):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
