"""Mamba-1 in the files of other programs, read and written: torch's, the gguf package's,
transformers'; bit for bit where the type stays the same."""

import json

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (AutoModelForCausalLM, FalconMambaConfig, FalconMambaForCausalLM,
                          MambaConfig, MambaForCausalLM)
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from comparison import assert_alike
from model_files import (EMBEDDING, FILE_TYPES, GGML, THEIR_EMBEDDING, TYPES, refusal, same_bits,
                         their_state_dict, write_state_spaces)
from random_model import mamba1_configuration, random_weights, write_folder

CONFIG = mamba1_configuration(vocab_size=264, hidden_size=64, intermediate_size=128,
                              time_step_rank=5)
WEIGHTS = random_weights(CONFIG)


@pytest.fixture(name="base", scope="module")
def base_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "model"
    write_folder(folder, CONFIG, WEIGHTS)
    return folder


@pytest.mark.parametrize("dtype", TYPES)
def test_torch_loads_our_pytorch_model(longhaul, base, tmp_path, dtype):
    longhaul.run("export", "--model", base, "--format", "state-spaces", "--dtype", dtype, "--out",
                 tmp_path / "out")
    loaded = torch.load(tmp_path / "out" / "pytorch_model.bin", weights_only=True)
    assert loaded["lm_head.weight"].data_ptr() == loaded[THEIR_EMBEDDING].data_ptr()
    expected = {name: value.to(TYPES[dtype]) for name, value in WEIGHTS.items()}
    same_bits(dict(loaded), dict(their_state_dict(expected)))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["ssm_cfg"] == {"dt_rank": 5}


def test_state_spaces_to_transformers(longhaul, tmp_path):
    """In, out as Hugging Face, and transformers computes what longhaul computes."""
    write_state_spaces(tmp_path / "theirs", CONFIG, their_state_dict(WEIGHTS))
    longhaul.run("import", "--from", tmp_path / "theirs", "--out", tmp_path / "ours")
    same_bits(load_file(tmp_path / "ours" / "model.safetensors"), WEIGHTS)
    longhaul.run("export", "--model", tmp_path / "ours", "--shard-bytes", 40000, "--out",
                 tmp_path / "hf")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    assert type(model).__name__ == "MambaForCausalLM"
    tokens = torch.randint(0, 264, (2, 33), generator=torch.Generator().manual_seed(1))
    ours = longhaul.forward(tmp_path, tmp_path / "theirs", tokens)["logits"]
    with torch.no_grad():
        theirs = model(tokens).logits
    assert_alike({"logits": ours}, {"logits": theirs}, 1e-4)


def test_flash_linear_attention_spelling(longhaul, tmp_path):
    config = {"model_type": "mamba", "vocab_size": 264, "hidden_size": 64, "num_hidden_layers": 2,
              "time_step_rank": 5, "norm_eps": 1e-5, "residual_in_fp32": False,
              "tie_word_embeddings": True, "fuse_norm": True}
    write_folder(tmp_path / "theirs", config, WEIGHTS)
    longhaul.run("import", "--from", tmp_path / "theirs", "--out", tmp_path / "ours")
    same_bits(load_file(tmp_path / "ours" / "model.safetensors"), WEIGHTS)
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert (written["residual_in_fp32"], written["eos_token_id"]) == (False, 2)


def gguf_tensors():
    """name → values as GGUF has them, float32; ssm_a's are A_log's."""
    parts = {"norm.weight": "attn_norm.weight", "mixer.in_proj.weight": "ssm_in.weight",
             "mixer.conv1d.weight": "ssm_conv1d.weight", "mixer.conv1d.bias": "ssm_conv1d.bias",
             "mixer.x_proj.weight": "ssm_x.weight", "mixer.dt_proj.weight": "ssm_dt.weight",
             "mixer.dt_proj.bias": "ssm_dt.bias", "mixer.A_log": "ssm_a", "mixer.D": "ssm_d",
             "mixer.out_proj.weight": "ssm_out.weight"}
    tensors = {"token_embd.weight": WEIGHTS[EMBEDDING],
               "output_norm.weight": WEIGHTS["backbone.norm_f.weight"]}
    for layer in range(CONFIG["num_hidden_layers"]):
        for ours, theirs in parts.items():
            value = WEIGHTS[f"backbone.layers.{layer}.{ours}"]
            tensors[f"blk.{layer}.{theirs}"] = value.squeeze(1) if value.dim() == 3 else value
    return {name: value.numpy() for name, value in tensors.items()}


@pytest.mark.parametrize("dtype", GGML)
def test_gguf_package_reads_our_file(longhaul, base, tmp_path, dtype):
    longhaul.run("export", "--model", base, "--format", "gguf", "--dtype", dtype, "--tokenizer",
                 "byte", "--out", tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    values = {key: field.contents() for key, field in reader.fields.items()}
    expected = {
        "general.architecture": "mamba", "general.name": "model", "mamba.vocab_size": 264,
        "mamba.context_length": 2**20, "mamba.embedding_length": 64,
        "mamba.feed_forward_length": 0, "mamba.attention.head_count": 0, "mamba.block_count": 2,
        "mamba.ssm.conv_kernel": 4, "mamba.ssm.inner_size": 128, "mamba.ssm.state_size": 16,
        "mamba.ssm.time_step_rank": 5, "mamba.ssm.dt_b_c_rms": False,
        "mamba.attention.layer_norm_rms_epsilon": float(np.float32(1e-5)),
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.eos_token_id": 256,
        "general.file_type": FILE_TYPES[dtype],
    }
    assert {key: values[key] for key in expected} == expected

    known = {name for tensor in gguf.MODEL_TENSORS[gguf.MODEL_ARCH.MAMBA]
             for name in [gguf.TENSOR_NAMES[tensor]]}
    theirs = gguf_tensors()
    assert {tensor.name for tensor in reader.tensors} == theirs.keys()
    for tensor in reader.tensors:
        value = theirs[tensor.name]
        block = tensor.name.split(".")[1] if tensor.name.startswith("blk.") else ""
        stem = tensor.name.removesuffix(".weight").removesuffix(".bias")
        assert stem.replace(f"blk.{block}.", "blk.{bid}.") in known
        assert list(tensor.shape) == list(reversed(value.shape)), tensor.name
        is_matrix = tensor.name.endswith(("ssm_in.weight", "ssm_out.weight", "ssm_x.weight",
                                          "ssm_dt.weight", "token_embd.weight"))
        if dtype == "q8_0" and tensor.name.endswith("ssm_dt.weight"):
            is_matrix = False  # rows of 5 elements, blocks of 32
        assert tensor.tensor_type == (GGML[dtype] if is_matrix else GGML["float32"]), tensor.name
        if tensor.name.endswith("ssm_a"):
            np.testing.assert_array_max_ulp(tensor.data, -np.exp(value), maxulp=2)
        else:
            stored = gguf.quants.quantize(value, tensor.tensor_type)
            assert tensor.data.tobytes() == stored.tobytes(), tensor.name


def test_we_read_what_the_gguf_package_writes(longhaul, tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "theirs.gguf", "mamba")
    writer.add_context_length(2**20)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(2)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(128)
    writer.add_ssm_state_size(16)
    writer.add_ssm_time_step_rank(5)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_ssm_dt_b_c_rms(False)
    writer.add_token_list(["a", "b"])
    for name, value in gguf_tensors().items():
        writer.add_tensor(name, -np.exp(value) if name.endswith("ssm_a") else value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    longhaul.run("import", "--from", tmp_path / "theirs.gguf", "--out", tmp_path / "ours")
    ours = load_file(tmp_path / "ours" / "model.safetensors")
    logarithms = {name for name in WEIGHTS if name.endswith("A_log")}
    same_bits({name: ours[name] for name in ours if name not in logarithms},
              {name: WEIGHTS[name] for name in WEIGHTS if name not in logarithms})
    for name in logarithms:
        np.testing.assert_allclose(ours[name].numpy(), WEIGHTS[name].numpy(), atol=3e-7)


def test_transformers_reads_our_gguf(longhaul, base, tmp_path):
    """By the function beneath from_pretrained, which wants accelerate for it."""
    path = tmp_path / "model.gguf"
    longhaul.run("export", "--model", base, "--format", "gguf", "--tokenizer", "byte", "--out", path)
    config = MambaConfig(**load_gguf_checkpoint(path)["config"])
    model = MambaForCausalLM(config).eval()
    tensors = load_gguf_checkpoint(path, return_tensors=True, model_to_load=model)["tensors"]
    result = model.load_state_dict(tensors, strict=False)
    assert not result.unexpected_keys and set(result.missing_keys) <= {"lm_head.weight"}
    tokens = torch.randint(0, 264, (2, 20), generator=torch.Generator().manual_seed(1))
    ours = longhaul.forward(tmp_path, base, tokens)["logits"]
    with torch.no_grad():
        assert_alike({"logits": ours}, {"logits": model(tokens).logits}, 1e-4)


def test_initial_state_in_transformers(longhaul, base, tmp_path):
    """What export prints about loading the learned state: transformers goes on from it as longhaul
    does, token by token."""
    text = tmp_path / "text.txt"
    text.write_text("A state is what a sequence leaves behind. " * 40)
    longhaul.run("tokenize", "--out", tmp_path / "tokens", text)
    out = longhaul.run("export", "--model", base, "--out", tmp_path / "hf", "--initial-state",
                       tmp_path / "tokens", "--state-length", 50, "--state-sequences", 4)
    state = load_file(tmp_path / "hf" / "initial_state.safetensors")
    tokens = torch.randint(0, 257, (1, 20), generator=torch.Generator().manual_seed(2))
    code = out.split("```python\n")[1].split("```")[0].replace('"hf', f'"{tmp_path}/hf')
    names = {"input_ids": tokens}
    with torch.no_grad():
        exec(code, names)  # what it prints is what works
        from_zero = names["model"](tokens).logits
    ours = longhaul.forward(tmp_path, tmp_path / "hf", tokens, states=state)["logits"]
    assert_alike({"logits": ours}, {"logits": names["logits"]}, 1e-4)
    assert not torch.allclose(names["logits"], from_zero, rtol=1e-2)


def test_falcon_mamba_is_refused_with_the_reason(longhaul, tmp_path):
    FalconMambaForCausalLM(FalconMambaConfig(
        vocab_size=29, hidden_size=24, num_hidden_layers=1)).save_pretrained(tmp_path / "falcon")
    told = refusal(longhaul, "import", "--from", tmp_path / "falcon", "--out", tmp_path / "out")
    assert '"falcon_mamba" (which norms B, C and the time step: not supported)' in told


def test_refused_by_name_where_the_format_lacks_it(longhaul, tmp_path):
    config = mamba1_configuration(hidden_size=64, intermediate_size=100, use_bias=True)
    write_folder(tmp_path / "model", config, random_weights(config))
    told = refusal(longhaul, "export", "--model", tmp_path / "model", "--format", "gguf",
                   "--tokenizer", "none", "--out", tmp_path / "out")
    assert "no biases on the projections" in told and "twice the width, 128" in told
    told = refusal(longhaul, "export", "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert "none makes 64 to 100" in told
