"""Model folders as other programs write them, and what the tests of formats ask of files."""

import collections
import json
import subprocess

import gguf
import torch

EMBEDDING, THEIR_EMBEDDING = "backbone.embeddings.weight", "backbone.embedding.weight"
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
GGML = {"float32": gguf.GGMLQuantizationType.F32, "bfloat16": gguf.GGMLQuantizationType.BF16,
        "float16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
FILE_TYPES = {"float32": 0, "float16": 1, "q8_0": 7, "bfloat16": 32}


def same_bits(ours, theirs):
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    for name, value in theirs.items():
        assert ours[name].dtype == value.dtype, name
        assert torch.equal(ours[name].contiguous().view(torch.uint8),
                           value.contiguous().view(torch.uint8)), name


def refusal(longhaul, *arguments):
    result = subprocess.run(list(map(str, [longhaul.path, *arguments])), capture_output=True,
                            text=True, timeout=600, check=False)
    assert result.returncode == 2, result
    return result.stderr


def state_spaces_config(config):
    if config["model_type"] == "mamba":
        ssm = {"d_state": config["state_size"], "dt_rank": config["time_step_rank"]}
    else:
        ssm = {"layer": "Mamba2", "d_state": config["state_size"], "headdim": config["head_dim"],
               "ngroups": config["n_groups"]}
    return {"d_model": config["hidden_size"], "n_layer": config["num_hidden_layers"],
            "vocab_size": config["vocab_size"] - 5, "pad_vocab_size_multiple": 8, "ssm_cfg": ssm,
            "tie_embeddings": config["tie_word_embeddings"]}


def write_state_spaces(folder, config, state_dict, **options):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(state_spaces_config(config)))
    torch.save(state_dict, folder / "pytorch_model.bin", **options)


def their_state_dict(weights):
    """As mamba_ssm saves it: its names, a tied head that shares the embedding's storage, versions
    of modules attached."""
    state = collections.OrderedDict(
        (THEIR_EMBEDDING if name == EMBEDDING else name, value) for name, value in weights.items())
    state["lm_head.weight"] = state[THEIR_EMBEDDING]
    state._metadata = collections.OrderedDict({"": {"version": 1}, "backbone": {"version": 1}})
    return state
