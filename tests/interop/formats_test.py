"""Files of other programs, read and written: torch's, the gguf package's, transformers'; bit for bit
where the type stays the same."""

import json

import gguf
import numpy as np
import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from comparison import assert_alike
from model_files import (EMBEDDING, FILE_TYPES, GGML, THEIR_EMBEDDING, TYPES, refusal, same_bits,
                         their_state_dict, write_state_spaces)
from random_model import configuration, random_weights, write_folder

CONFIG = configuration(vocab_size=264, hidden_size=64, num_heads=4, head_dim=32, state_size=16,
                       n_groups=2, chunk_size=256)


@pytest.fixture(name="base", scope="module")
def base_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "model"
    write_folder(folder, CONFIG, random_weights(CONFIG))
    return folder


@pytest.mark.parametrize("dtype", TYPES)
def test_torch_loads_our_pytorch_model(longhaul, base, tmp_path, dtype):
    longhaul.run("export", "--model", base, "--format", "state-spaces", "--dtype", dtype, "--out",
                 tmp_path / "out")
    loaded = torch.load(tmp_path / "out" / "pytorch_model.bin", weights_only=True)
    assert loaded["lm_head.weight"].data_ptr() == loaded[THEIR_EMBEDDING].data_ptr()
    expected = {name: value.to(TYPES[dtype]) for name, value in random_weights(CONFIG).items()}
    same_bits(dict(loaded), dict(their_state_dict(expected)))
    mapped = torch.load(tmp_path / "out" / "pytorch_model.bin", weights_only=True, mmap=True)
    same_bits(dict(mapped), dict(loaded))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("protocol", [2, 4])
def test_we_read_what_torch_saves(longhaul, tmp_path, dtype, protocol):
    weights = {name: value.to(TYPES[dtype]) for name, value in random_weights(CONFIG).items()}
    state = their_state_dict(weights)
    # Stored column by column, as a slice of something larger, and as a parameter.
    projection = "backbone.layers.0.mixer.in_proj.weight"
    state[projection] = state[projection].t().contiguous().t()
    slow = "backbone.layers.1.mixer.D"
    state[slow] = torch.cat([torch.ones(3, dtype=TYPES[dtype]), state[slow]])[3:]
    norm = "backbone.norm_f.weight"
    state[norm] = torch.nn.Parameter(state[norm])
    write_state_spaces(tmp_path / "theirs", CONFIG, state, pickle_protocol=protocol)
    longhaul.run("import", "--from", tmp_path / "theirs", "--out", tmp_path / "ours")
    same_bits(load_file(tmp_path / "ours" / "model.safetensors"), weights)


def test_torch_files_that_are_refused(longhaul, tmp_path):
    weights = random_weights(CONFIG)
    write_state_spaces(tmp_path / "old", CONFIG, their_state_dict(weights),
                       _use_new_zipfile_serialization=False)
    assert "before 1.6" in refusal(longhaul, "import", "--from", tmp_path / "old", "--out",
                                   tmp_path / "out")
    write_state_spaces(tmp_path / "whole", CONFIG, torch.nn.Linear(2, 2))
    assert "refused" in refusal(longhaul, "import", "--from", tmp_path / "whole", "--out",
                                tmp_path / "out")
    state = their_state_dict(weights)
    state["backbone.layers.0.mixer.D"] = state["backbone.layers.0.mixer.dt_bias"]
    write_state_spaces(tmp_path / "aliased", CONFIG, state)
    assert "share elements" in refusal(longhaul, "import", "--from", tmp_path / "aliased", "--out",
                                       tmp_path / "out")


def test_state_spaces_to_transformers(longhaul, tmp_path):
    """In, out as Hugging Face, and transformers computes what longhaul computes."""
    weights = random_weights(CONFIG)
    write_state_spaces(tmp_path / "theirs", CONFIG, their_state_dict(weights))
    longhaul.run("import", "--from", tmp_path / "theirs", "--out", tmp_path / "ours")
    longhaul.run("export", "--model", tmp_path / "ours", "--shard-bytes", 40000, "--out",
                 tmp_path / "hf")
    assert (tmp_path / "hf" / "model.safetensors.index.json").exists()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    tokens = torch.randint(0, 264, (2, 33), generator=torch.Generator().manual_seed(1))
    ours = longhaul.forward(tmp_path, tmp_path / "theirs", tokens)["logits"]
    with torch.no_grad():
        theirs = model(tokens).logits
    assert_alike({"logits": ours}, {"logits": theirs}, 1e-4)


def test_flash_linear_attention_spelling(longhaul, tmp_path):
    config = {"model_type": "mamba2", "vocab_size": 264, "hidden_size": 64, "num_hidden_layers": 2,
              "head_dim": 32, "state_size": 16, "n_groups": 2, "expand": 2, "norm_eps": 1e-5,
              "rmsnorm": True, "dt_limit": [0.0, float("inf")], "tie_word_embeddings": True}
    weights = random_weights(CONFIG)
    write_folder(tmp_path / "theirs", config, weights)
    longhaul.run("import", "--from", tmp_path / "theirs", "--out", tmp_path / "ours")
    same_bits(load_file(tmp_path / "ours" / "model.safetensors"), weights)
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["num_heads"] == 4


def gguf_tensors(weights):
    """name → values as GGUF has them, float32."""
    parts = {"norm.weight": "attn_norm.weight", "mixer.in_proj.weight": "ssm_in.weight",
             "mixer.conv1d.weight": "ssm_conv1d.weight", "mixer.conv1d.bias": "ssm_conv1d.bias",
             "mixer.dt_bias": "ssm_dt.bias", "mixer.A_log": "ssm_a", "mixer.D": "ssm_d",
             "mixer.norm.weight": "ssm_norm.weight", "mixer.out_proj.weight": "ssm_out.weight"}
    tensors = {"token_embd.weight": weights[EMBEDDING],
               "output_norm.weight": weights["backbone.norm_f.weight"]}
    for layer in range(CONFIG["num_hidden_layers"]):
        for ours, theirs in parts.items():
            value = weights[f"backbone.layers.{layer}.{ours}"]
            if theirs in ("ssm_a", "ssm_d"):
                value = value.reshape(-1, 1)
            if theirs == "ssm_norm.weight":
                value = value.reshape(CONFIG["n_groups"], -1)
            tensors[f"blk.{layer}.{theirs}"] = value.squeeze(1) if value.dim() == 3 else value
    return {name: value.numpy() for name, value in tensors.items()}


@pytest.mark.parametrize("dtype", GGML)
def test_gguf_package_reads_our_file(longhaul, base, tmp_path, dtype):
    longhaul.run("export", "--model", base, "--format", "gguf", "--dtype", dtype, "--tokenizer",
                 "byte", "--out", tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    values = {key: field.contents() for key, field in reader.fields.items()}
    expected = {
        "general.architecture": "mamba2", "general.name": "model", "mamba2.vocab_size": 264,
        "mamba2.context_length": 2**20, "mamba2.embedding_length": 64,
        "mamba2.feed_forward_length": 0, "mamba2.attention.head_count": 0, "mamba2.block_count": 2,
        "mamba2.ssm.conv_kernel": 4, "mamba2.ssm.inner_size": 128, "mamba2.ssm.state_size": 16,
        "mamba2.ssm.time_step_rank": 4, "mamba2.ssm.group_count": 2,
        "mamba2.attention.layer_norm_rms_epsilon": float(np.float32(1e-5)),
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.merges": [],
        "tokenizer.ggml.eos_token_id": 256,
        "general.file_type": FILE_TYPES[dtype],
    }
    assert {key: values[key] for key in expected} == expected
    assert len(values["tokenizer.ggml.tokens"]) == 264

    theirs = gguf_tensors(random_weights(CONFIG))
    assert {tensor.name for tensor in reader.tensors} == theirs.keys()
    for tensor in reader.tensors:
        value = theirs[tensor.name]
        assert list(tensor.shape) == list(reversed(value.shape)), tensor.name
        is_matrix = tensor.name.endswith(("ssm_in.weight", "ssm_out.weight", "token_embd.weight"))
        assert tensor.tensor_type == (GGML[dtype] if is_matrix else GGML["float32"]), tensor.name
        if tensor.name.endswith("ssm_a"):
            np.testing.assert_array_max_ulp(tensor.data, -np.exp(value), maxulp=1)
        else:
            stored = gguf.quants.quantize(value, tensor.tensor_type)
            assert tensor.data.tobytes() == stored.tobytes(), tensor.name


def test_we_read_what_the_gguf_package_writes(longhaul, tmp_path):
    weights = random_weights(CONFIG)
    writer = gguf.GGUFWriter(tmp_path / "theirs.gguf", "mamba2")
    writer.add_context_length(2**20)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(2)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_inner_size(128)
    writer.add_ssm_state_size(16)
    writer.add_ssm_time_step_rank(4)
    writer.add_ssm_group_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(["a", "b"])
    for name, value in gguf_tensors(weights).items():
        writer.add_tensor(name, -np.exp(value) if name.endswith("ssm_a") else value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    longhaul.run("import", "--from", tmp_path / "theirs.gguf", "--out", tmp_path / "ours")
    ours = load_file(tmp_path / "ours" / "model.safetensors")
    logarithms = {name for name in weights if name.endswith("A_log")}
    same_bits({name: ours[name] for name in ours if name not in logarithms},
              {name: weights[name] for name in weights if name not in logarithms})
    for name in logarithms:
        np.testing.assert_allclose(ours[name].numpy(), weights[name].numpy(), atol=3e-7)


LLAMA_3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
           r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
PRE_TOKENIZERS = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "llama-bpe": pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA_3), "isolated"), BYTE_LEVEL]),
    "qwen2": pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA_3.replace("{1,3}", "")), "isolated"), BYTE_LEVEL]),
}


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
def test_tokenizer_in_gguf(longhaul, tmp_path, pre):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PRE_TOKENIZERS[pre]
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        ["the quick brown fox — jumps; 1234 öäü \n\n\t"] * 9,
        trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"],
                            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_tokens([AddedToken("    ", normalized=False)])
    size = tokenizer.get_vocab_size()
    config = configuration(vocab_size=size + 7, hidden_size=64, num_heads=4, head_dim=32)
    write_folder(tmp_path / "model", config, random_weights(config))
    tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    chat = "{{ messages[0].content }}\n"
    (tmp_path / "model" / "chat_template.jinja").write_text(chat)
    longhaul.run("export", "--model", tmp_path / "model", "--format", "gguf", "--out",
                 tmp_path / "model.gguf")
    fields = gguf.GGUFReader(tmp_path / "model.gguf").fields
    assert fields[gguf.Keys.Tokenizer.CHAT_TEMPLATE].contents() == chat
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    assert tokens[:size] == [tokenizer.id_to_token(i) for i in range(size)]
    assert tokens[size:] == [f"[PAD{i}]" for i in range(size, size + 7)]
    kinds = {"<|endoftext|>": gguf.TokenType.CONTROL, "    ": gguf.TokenType.USER_DEFINED}
    assert types == [kinds.get(token, gguf.TokenType.NORMAL) for token in tokens[:size]] + [
        gguf.TokenType.UNUSED] * 7
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    assert fields["tokenizer.ggml.merges"].contents() == [" ".join(merge) for merge in merges]
    assert fields["tokenizer.ggml.pre"].contents() == pre
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 0
    longhaul.run("import", "--from", tmp_path / "model.gguf", "--out", tmp_path / "back")
    back = Tokenizer.from_file(str(tmp_path / "back" / "tokenizer.json"))
    for text in ["the brown  fox's 12345", "\n\t jumps — öäü家", "    <|endoftext|>it"]:
        assert back.encode(text).ids == tokenizer.encode(text).ids
    assert json.loads((tmp_path / "back" / "config.json").read_text())["eos_token_id"] == 0
    assert AutoTokenizer.from_pretrained(tmp_path / "back").chat_template == chat


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sentencepiece_in_gguf(longhaul, tmp_path, kind):
    """As the gguf package finds it, and back: the same tokens from SentencePiece itself."""
    folder = tmp_path / "model"
    config = configuration(vocab_size=307, hidden_size=64, num_heads=4, head_dim=32)
    write_folder(folder, config, random_weights(config))
    lines = ["the quick brown fox jumps over a lazy dog", "Häuser – 家 1234", "a state of  states"] * 40
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(folder / "tokenizer"), model_type=kind,
        vocab_size=300, byte_fallback=True, user_defined_symbols=["<user>"], minloglevel=2,
        hard_vocab_limit=False, normalization_rule_name="identity" if kind == "bpe" else "nmt_nfkc",
        remove_extra_whitespaces=kind != "bpe")
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"add_bos_token": True}))
    longhaul.run("export", "--model", folder, "--format", "gguf", "--out", tmp_path / "m.gguf")
    fields = gguf.GGUFReader(tmp_path / "m.gguf").fields
    size = theirs.get_piece_size()
    assert fields["tokenizer.ggml.model"].contents() == {"bpe": "llama", "unigram": "t5"}[kind]
    assert fields["tokenizer.ggml.tokens"].contents()[:size] == [
        theirs.id_to_piece(i) for i in range(size)]
    assert fields["tokenizer.ggml.scores"].contents()[:size] == [
        theirs.get_score(i) for i in range(size)]
    token = gguf.TokenType
    assert fields["tokenizer.ggml.token_type"].contents() == [
        token.UNKNOWN if theirs.is_unknown(i) else token.CONTROL if theirs.is_control(i) else
        token.BYTE if theirs.is_byte(i) else
        token.USER_DEFINED if theirs.id_to_piece(i) == "<user>" else token.NORMAL
        for i in range(size)] + [token.UNUSED] * (307 - size)
    for role, id in [("bos", theirs.bos_id()), ("eos", theirs.eos_id()), ("unknown", theirs.unk_id())]:
        assert fields[f"tokenizer.ggml.{role}_token_id"].contents() == id
    assert fields["tokenizer.ggml.add_bos_token"].contents() is True
    longhaul.run("import", "--from", tmp_path / "m.gguf", "--out", tmp_path / "back")
    back = sentencepiece.SentencePieceProcessor(
        model_file=str(tmp_path / "back" / "tokenizer.model"))
    for text in [*lines[:3], " ", "\u2126 ﬁ  x", "<user>a <s> ü🏠"]:
        assert back.encode(text) == theirs.encode(text)
    assert (back.bos_id(), back.eos_id(), back.pad_id()) == (theirs.bos_id(), theirs.eos_id(), -1)


def test_byte_tokenizer_in_transformers(longhaul, base, tmp_path):
    longhaul.run("export", "--model", base, "--tokenizer", "byte", "--out", tmp_path / "hf")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    text = "Häuser – 家 🏠\n\t  x\x00\x7f"
    assert tokenizer(text)["input_ids"] == list(text.encode())
    assert tokenizer.decode(list(text.encode())) == text
    assert tokenizer.eos_token_id == 256
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "hf").config.eos_token_id == 256


def test_token_ids_survive(longhaul, tmp_path):
    config = CONFIG | {"pad_token_id": 7, "bos_token_id": None, "eos_token_id": [5, 6]}
    write_folder(tmp_path / "theirs", config, random_weights(CONFIG))
    longhaul.run("import", "--from", tmp_path / "theirs", "--out", tmp_path / "ours")
    longhaul.run("export", "--model", tmp_path / "ours", "--out", tmp_path / "hf")
    written = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert (written["pad_token_id"], written["bos_token_id"], written["eos_token_id"]) == (
        7, None, [5, 6])


def test_initial_state_in_transformers(longhaul, base, tmp_path):
    """What export prints about loading the learned state: transformers goes on from it as longhaul
    does."""
    text = tmp_path / "text.txt"
    text.write_text("A state is what a sequence leaves behind. " * 40)
    longhaul.run("tokenize", "--out", tmp_path / "tokens", text)
    out = longhaul.run("export", "--model", base, "--out", tmp_path / "hf", "--initial-state",
                       tmp_path / "tokens", "--state-length", 50, "--state-sequences", 4)
    assert "cache.update_recurrent_state" in out
    state = load_file(tmp_path / "hf" / "initial_state.safetensors")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    cache = DynamicCache(config=model.config)
    for i in range(model.config.num_hidden_layers):
        conv = torch.nn.functional.pad(state[f"conv.{i}"].transpose(1, 2), (1, 0))
        cache.update_conv_state(conv.to(model.dtype), i,
                                conv_kernel_size=model.config.conv_kernel)
        cache.update_recurrent_state(state[f"ssm.{i}"].to(model.dtype), i)
    tokens = torch.randint(0, 257, (1, 20), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        theirs = model(tokens, cache=cache, use_cache=True).logits
        from_zero = model(tokens).logits
    ours = longhaul.forward(tmp_path, tmp_path / "hf", tokens, states=state)["logits"]
    assert_alike({"logits": ours}, {"logits": theirs}, 1e-4)
    assert not torch.allclose(theirs, from_zero, rtol=1e-2)


def test_refused_by_name_where_the_format_lacks_it(longhaul, tmp_path):
    config = configuration(vocab_size=264, hidden_size=64, num_heads=4, head_dim=32, use_bias=True,
                           time_step_limit=[0.0, 0.5])
    write_folder(tmp_path / "model", config, random_weights(config))
    told = refusal(longhaul, "export", "--model", tmp_path / "model", "--format", "gguf",
                   "--tokenizer", "none", "--out", tmp_path / "out")
    assert "no biases on the projections" in told and "does not clamp" in told


def test_wrong_tensors_are_named_together(longhaul, tmp_path):
    weights = random_weights(CONFIG)
    weights["backbone.layers.0.mixer.D"] = torch.ones(5)
    del weights["backbone.norm_f.weight"]
    weights["backbone.layers.7.mixer.D"] = torch.ones(4)
    write_folder(tmp_path / "model", CONFIG, {})
    save_file(weights, tmp_path / "model" / "model.safetensors")
    told = refusal(longhaul, "import", "--from", tmp_path / "model", "--out", tmp_path / "out")
    for part in ("is [5], expected [4]", '"backbone.norm_f.weight" [64]: missing',
                 '"backbone.layers.7.mixer.D" [4]: unexpected'):
        assert part in told
