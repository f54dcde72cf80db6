"""Token for token and text for text: longhaul's tokenizers against the libraries whose files they read."""

import json
import os
import pathlib
import subprocess

import numpy
import pytest
import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from varied_text import ADDED, SPECIAL, documents

PROGRAM = os.environ["LONGHAUL_PROGRAM"]
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MEGABYTES = int(os.environ.get("TOKENIZER_TEST_MEGABYTES", "10"))

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def longhaul(*arguments, **options):
    result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, **options)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def byte_level(add_prefix_space=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)


def by_pattern(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def by_digits():
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()])


def by_words():
    """Only what matches is kept."""
    split = pre_tokenizers.Split(Regex(r"\p{L}+|\p{Nd}+"), "removed", invert=True)
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


KINDS = {
    "gpt_neox": {"pre_tokenizer": byte_level, "normalizer": normalizers.NFC},
    "gpt2": {"pre_tokenizer": byte_level},
    "llama3": {"pre_tokenizer": lambda: by_pattern(LLAMA3), "ignore_merges": True},
    "qwen2": {"pre_tokenizer": lambda: by_pattern(QWEN2), "normalizer": normalizers.NFC},
    "prefix_space": {"pre_tokenizer": lambda: byte_level(add_prefix_space=True)},
    "digits": {"pre_tokenizer": by_digits},
    "removed": {"pre_tokenizer": by_words},
}


@pytest.fixture(scope="session")
def corpus():
    found = documents(REPOSITORY, MEGABYTES * 1_000_000)
    assert sum(map(len, found)) >= MEGABYTES * 1_000_000
    return found


@pytest.fixture(scope="session")
def files(corpus, tmp_path_factory):
    """One file a document: JSON cannot hold invalid UTF-8. Their names sort in the documents' order."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, document in enumerate(corpus):
        (folder / f"{number:06}.txt").write_bytes(document)
    return folder


def trained(corpus, pre_tokenizer, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer()
    if normalizer is not None:
        tokenizer.normalizer = normalizer()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=6000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=SPECIAL[:1],
        show_progress=False,
    )
    tokenizer.train_from_iterator((document[:20000].decode(errors="replace") for document in corpus[::12]), trainer)
    tokenizer.add_tokens(
        [
            AddedToken("<|left|>", lstrip=True),
            AddedToken("<|right|>", rstrip=True, normalized=False),
            AddedToken("word", single_word=True),
            *ADDED[3:],
        ]
    )
    tokenizer.add_special_tokens(SPECIAL[1:])
    return tokenizer


def tokens_of(folder):
    """A list of tokens for each document of a token folder, without its end."""
    manifest = json.loads((folder / "manifest.json").read_text())
    tokens = numpy.fromfile(folder / "tokens.bin", dtype=f"<u{manifest['element_bytes']}")
    borders = numpy.fromfile(folder / "documents.bin", dtype="<u8").astype(int)
    assert (tokens[borders[1:] - 1] == manifest["end_of_document"]).all()
    return [tokens[begin : end - 1] for begin, end in zip(borders, borders[1:])]


def texts_of(tokenizer, folder):
    lines = longhaul("detokenize", "--tokenizer", tokenizer, folder).split(b"\n")
    return [json.loads(line)["text"] for line in lines if line]


def compare(corpus, found, texts, expected, decode):
    assert len(found) == len(texts) == len(corpus)
    for number, (tokens, text, wanted) in enumerate(zip(found, texts, expected)):
        if tokens.tolist() != wanted:
            place = next((i for i, (a, b) in enumerate(zip(tokens, wanted)) if a != b), min(len(tokens), len(wanted)))
            around = slice(max(0, place - 4), place + 4)
            pytest.fail(
                f"document {number}, token {place}: found {tokens[around].tolist()}, expected {wanted[around]}, "
                f"after {decode(wanted[: place + 1])[-40:]!r}"
            )
        assert text == decode(wanted), f"text of document {number}"


@pytest.mark.parametrize("kind", KINDS)
def test_byte_level_bpe(kind, corpus, files, tmp_path):
    theirs = trained(corpus, **KINDS[kind])
    theirs.save(str(tmp_path / "tokenizer.json"))
    longhaul("tokenize", "--tokenizer", tmp_path, "--threads", 2, "--any-bytes", "--out", tmp_path / "t", files)
    strings = [document.decode(errors="replace") for document in corpus]
    expected = [encoding.ids for encoding in theirs.encode_batch(strings, add_special_tokens=False)]
    texts = texts_of(tmp_path, tmp_path / "t")
    compare(corpus, tokens_of(tmp_path / "t"), texts, expected, theirs.decode)


@pytest.mark.parametrize("threads", [1, 3])
def test_long_documents_are_cut_where_nothing_changes(threads, corpus, tmp_path):
    """One document of some MB, which longhaul reads in pieces."""
    whole = b"".join(corpus)[: 4 << 20]
    (tmp_path / "whole.txt").write_bytes(whole)
    theirs = trained(corpus, **KINDS["qwen2"])
    theirs.save(str(tmp_path / "tokenizer.json"))
    longhaul("tokenize", "--tokenizer", tmp_path, "--threads", threads, "--any-bytes", "--out", tmp_path / "t",
             tmp_path / "whole.txt")
    expected = theirs.encode(whole.decode(errors="replace"), add_special_tokens=False).ids
    found = tokens_of(tmp_path / "t")
    compare([whole], found, texts_of(tmp_path, tmp_path / "t"), [expected], theirs.decode)


def test_every_character_is_normalized_alike(corpus, tmp_path):
    theirs = trained(corpus, **KINDS["gpt_neox"])
    theirs.save(str(tmp_path / "tokenizer.json"))
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    lines = ["".join(f"a{c}\u0334\u0301" for c in characters[i : i + 512]) for i in range(0, len(characters), 512)]
    with open(tmp_path / "lines.jsonl", "w") as file:
        file.writelines(json.dumps({"text": line}) + "\n" for line in lines)
    longhaul("tokenize", "--tokenizer", tmp_path, "--out", tmp_path / "t", tmp_path / "lines.jsonl")
    found = texts_of(tmp_path, tmp_path / "t")
    expected = [theirs.decode(encoding.ids) for encoding in theirs.encode_batch(lines, add_special_tokens=False)]
    assert found == expected


def test_frame_is_what_the_post_processor_adds(corpus, tmp_path):
    theirs = trained(corpus, **KINDS["llama3"])
    begin = theirs.token_to_id("<|special|>")
    theirs.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<|special|> $A", special_tokens=[("<|special|>", begin)]),
        ]
    )
    theirs.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "a.txt").write_text("some text")
    longhaul("tokenize", "--tokenizer", tmp_path, "--frame", "--out", tmp_path / "t", tmp_path / "a.txt")
    assert tokens_of(tmp_path / "t")[0].tolist() == theirs.encode("some text").ids
    assert theirs.encode("some text").ids[0] == begin


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_sentencepiece(model_type, corpus, files, tmp_path):
    """Llama 2's kind: BPE with bytes for what is missing; and Unigram."""
    strings = [document.decode(errors="replace") for document in corpus]
    # Characters beyond the alphabets are left to the bytes.
    lines = (line for text in strings[::8] for line in text[:20000].splitlines())
    sample = [line for line in lines if 0 < len(line) < 1000 and max(line) < "\u1100"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sample),
        model_prefix=str(tmp_path / "tokenizer"),
        model_type=model_type,
        vocab_size=2000,
        byte_fallback=True,
        character_coverage=0.98,
        split_digits=True,
        normalization_rule_name="identity" if model_type == "bpe" else "nmt_nfkc",
        remove_extra_whitespaces=model_type != "bpe",
        num_threads=2,
        minloglevel=2,
    )
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    longhaul("tokenize", "--tokenizer", tmp_path, "--threads", 2, "--any-bytes", "--out", tmp_path / "t", files)
    expected = theirs.encode(strings, num_threads=2)
    found = tokens_of(tmp_path / "t")
    compare(corpus, found, texts_of(tmp_path, tmp_path / "t"), expected, theirs.decode)


@pytest.mark.parametrize(
    "part, value, named",
    [
        ("normalizer", {"type": "Lowercase"}, "normalizer.type"),
        ("pre_tokenizer", {"type": "Whitespace"}, "pre_tokenizer.type"),
        ("decoder", {"type": "WordPiece", "prefix": "##", "cleanup": True}, "decoder"),
        ("model", {"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]], "byte_fallback": False}, "model.type"),
        ("truncation", {"max_length": 5}, "truncation"),
    ],
)
def test_what_is_not_understood_is_named(part, value, named, tmp_path):
    tokenizer = trained([b"some text"], **KINDS["gpt2"])
    content = json.loads(tokenizer.to_str())
    content[part] = value
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "a.txt").write_text("text")
    command = [PROGRAM, "tokenize", "--tokenizer", tmp_path, "--out", tmp_path / "t", tmp_path / "a.txt"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert f"tokenizer.json: {named}" in result.stderr


def test_versions():
    """What the expectations above were written against."""
    assert tuple(map(int, tokenizers.__version__.split(".")[:2])) >= (0, 20)
