"""Tokenizers beside exported models, read by transformers and carried by GGUF: the same tokens as
from the libraries that made them."""

import json

import gguf
import pytest
import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, pipeline

from random_model import configuration, random_weights, write_folder

CONFIG = configuration(vocab_size=310, hidden_size=64, num_heads=4, head_dim=32) | {"expand": 2}
LINES = ["the quick brown fox jumps over a lazy dog", "Häuser – 家 1234", "a state of  states"]
TEXTS = [*LINES, " ", "  two  spaces", "Don't\n\n 12345's", "\u2126 ﬁ  x", "ü🏠 <user> the"]
DIGITS = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(r"\p{N}| ?\p{L}+|[^\p{L}\p{N}]+"), "isolated"),
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
LLAMA_3 = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def byte_level(pre_tokenizer, *special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(LINES * 9, trainers.BpeTrainer(
        vocab_size=300, special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


@pytest.fixture(name="model")
def model_folder(tmp_path):
    write_folder(tmp_path / "model", CONFIG, random_weights(CONFIG))
    return tmp_path / "model"


def train_pieces(model, kind):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 40), model_prefix=str(model / "tokenizer"), model_type=kind,
        vocab_size=300, byte_fallback=True, user_defined_symbols=["<user>"], minloglevel=2,
        hard_vocab_limit=False, normalization_rule_name="identity" if kind == "bpe" else "nmt_nfkc",
        remove_extra_whitespaces=kind != "bpe")
    return sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))


def test_without_a_class(longhaul, model, tmp_path):
    """transformers takes it for a GPT-NeoX tokenizer, whose pattern cuts digits otherwise."""
    theirs = byte_level(DIGITS, "<|endoftext|>")
    theirs.save(str(model / "tokenizer.json"))
    longhaul.run("export", "--model", model, "--out", tmp_path / "hf")
    read = AutoTokenizer.from_pretrained(tmp_path / "hf")
    for text in TEXTS:
        assert read(text)["input_ids"] == theirs.encode(text).ids
    assert read.eos_token == "<|endoftext|>"
    wrong = AutoTokenizer.from_pretrained(model)
    assert any(wrong(text)["input_ids"] != theirs.encode(text).ids for text in TEXTS)


def test_with_an_end_of_document_by_option(longhaul, model, tmp_path):
    theirs = byte_level(DIGITS, "<|endoftext|>", "<|end|>")
    theirs.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "a.txt").write_text("\n".join(LINES))
    longhaul.run("tokenize", "--tokenizer", tmp_path / "tokenizer.json", "--end-of-document",
                 "<|end|>", "--out", tmp_path / "tokens", tmp_path / "a.txt")
    kept = tmp_path / "tokens" / "tokenizer"
    (kept / "config.json").write_text(json.dumps(CONFIG))
    longhaul.run("export", "--model", model, "--tokenizer", kept, "--out", tmp_path / "hf")
    for folder in (kept, tmp_path / "hf"):
        read = AutoTokenizer.from_pretrained(folder)
        for text in TEXTS:
            assert read(text)["input_ids"] == theirs.encode(text).ids
        assert read.eos_token == "<|end|>"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sentencepiece_alone(longhaul, model, tmp_path, kind):
    theirs = train_pieces(model, kind)
    longhaul.run("export", "--model", model, "--out", tmp_path / "hf")
    longhaul.run("export", "--model", model, "--format", "gguf", "--out", tmp_path / "m.gguf")
    longhaul.run("import", "--from", tmp_path / "m.gguf", "--out", tmp_path / "back")
    read = AutoTokenizer.from_pretrained(tmp_path / "hf")
    back = AutoTokenizer.from_pretrained(tmp_path / "back")
    for text in TEXTS:
        assert read(text, add_special_tokens=False)["input_ids"] == theirs.encode(text)
        assert back(text, add_special_tokens=False)["input_ids"] == theirs.encode(text)
        assert back(text)["input_ids"] == [theirs.bos_id()] + theirs.encode(text)
    assert (read.eos_token, back.eos_token) == ("</s>", "</s>")


@pytest.mark.parametrize("single, adds", [
    ("$A", (False, False)), ("<s> $A", (True, False)), ("<s> $A </s>", (True, True)),
    ("$A </s>", (False, True))])
def test_what_stands_around_a_text(longhaul, model, tmp_path, single, adds):
    theirs = byte_level(LLAMA_3, "<s>", "</s>")
    theirs.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=single, special_tokens=[("<s>", 0), ("</s>", 1)])])
    theirs.save(str(model / "tokenizer.json"))
    (model / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}))
    longhaul.run("export", "--model", model, "--format", "gguf", "--out", tmp_path / "m.gguf")
    vocabulary = gguf.SpecialVocab(model, load_merges=False)
    fields = gguf.GGUFReader(tmp_path / "m.gguf").fields
    for role, id, expected in zip(("bos", "eos"), (0, 1), adds):
        assert vocabulary.add_special_token.get(role, False) == expected, "the gguf package's view"
        assert fields[f"tokenizer.ggml.add_{role}_token"].contents() is expected
        assert fields[f"tokenizer.ggml.{role}_token_id"].contents() == id
    longhaul.run("import", "--from", tmp_path / "m.gguf", "--out", tmp_path / "back")
    back = Tokenizer.from_file(str(tmp_path / "back" / "tokenizer.json"))
    read = AutoTokenizer.from_pretrained(tmp_path / "back")
    for text in TEXTS:
        assert back.encode(text).ids == theirs.encode(text).ids
        assert read(text)["input_ids"] == theirs.encode(text).ids


def test_a_run_on_bytes_in_a_pipeline(longhaul, tmp_path):
    (tmp_path / "a.txt").write_text("Once upon a time. " * 60)
    longhaul.run("tokenize", "--out", tmp_path / "tokens", tmp_path / "a.txt")
    (tmp_path / "run.yaml").write_text(json.dumps({
        "model": {"shape": {"vocabulary": 0, "width": 32, "layers": 1, "heads": 8, "head_dim": 8,
                            "state_dim": 8, "chunk": 8}},
        "data": {"folder": str(tmp_path / "tokens"), "length": 32, "sequences": 2},
        "schedule": {"steps": 2, "warmup": 1}, "parallel": {"threads": 1},
        "run": {"folder": str(tmp_path / "run")}}))
    longhaul.run("train", tmp_path / "run.yaml")
    longhaul.run("export", "--model", tmp_path / "run", "--out", tmp_path / "hf")
    said = pipeline("text-generation", str(tmp_path / "hf"))("Once", max_new_tokens=8,
                                                             do_sample=False)
    text = said[0]["generated_text"]
    assert text.startswith("Once")
    ids = AutoTokenizer.from_pretrained(tmp_path / "hf")("Once")["input_ids"]
    assert ids == list(b"Once")
    ours = longhaul.continuation(tmp_path / "run", ids, 8)
    assert AutoTokenizer.from_pretrained(tmp_path / "hf").decode(ids + ours) == text
    longhaul.run("export", "--model", tmp_path / "run", "--format", "gguf", "--out",
                 tmp_path / "m.gguf")
    fields = gguf.GGUFReader(tmp_path / "m.gguf").fields
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 256
