#!/usr/bin/env python3
"""Byte-level BPE: longhaul against the tokenizers library, in one run, on the same file and the same processors.

    LONGHAUL=build/release/bin/longhaul python3 bench/compare_tokenizers.py --threads 2 [--text FILE] [--tokenizer FILE]

Without --text: Python's own sources and the repository's, repeated to --megabytes. Without --tokenizer: one is trained for
each of the pre-tokenizers of GPT-NeoX, GPT-2, Llama 3 and Qwen 2. Both read the same .jsonl (a document a line), parse it, and
make ids of it; longhaul also writes its token folder to disk, and its time is that of the whole program. The ids are compared.
Prints ratios, and JSON with --json.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = os.environ.get("LONGHAUL", str(REPOSITORY / "build/release/bin/longhaul"))
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {"gpt_neox": None, "gpt2": None, "llama3": LLAMA3, "qwen2": LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")}


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--text", type=pathlib.Path, help="text file, cut into documents of 8 kB")
    parser.add_argument("--tokenizer", type=pathlib.Path, help="tokenizer.json")
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--vocabulary", type=int, default=32000, help="of the tokenizers that are trained")
    parser.add_argument("--rounds", type=int, default=3, help="the fastest counts")
    parser.add_argument("--json", type=pathlib.Path)
    return parser.parse_args()


def documents(arguments):
    if arguments.text:
        text = arguments.text.read_bytes().decode(errors="replace")
        return [text[i : i + 8192] for i in range(0, len(text), 8192)]
    stdlib = pathlib.Path(sysconfig.get_paths()["stdlib"])
    files = sorted(stdlib.glob("*.py")) + sorted(stdlib.glob("test/*.py")) + sorted(REPOSITORY.glob("[a-z]*/*.cpp"))
    found = [file.read_bytes().decode(errors="replace") for file in files]
    repeated, size = [], 0
    while size < arguments.megabytes * 1_000_000:
        repeated.append(found[len(repeated) % len(found)])
        size += len(repeated[-1])
    return repeated


def train(kind, texts, vocabulary):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if kind in ("gpt_neox", "qwen2"):
        tokenizer.normalizer = normalizers.NFC()
    if PATTERNS[kind] is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        split = pre_tokenizers.Split(Regex(PATTERNS[kind]), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts[:1500], trainer)
    return tokenizer


def fastest(rounds, action):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = action()
        times.append(time.perf_counter() - start)
    return min(times), result


def theirs(tokenizer, file):
    with open(file) as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def ours(tokenizer, file, folder, threads):
    command = [PROGRAM, "tokenize", "--tokenizer", tokenizer, "--threads", str(threads), "--out", folder, file]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


def compare(kind, arguments, scratch, file, texts):
    import numpy
    from tokenizers import Tokenizer

    path = arguments.tokenizer or scratch / f"{kind}.json"
    if not arguments.tokenizer:
        train(kind, texts, arguments.vocabulary).save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    their_time, ids = fastest(arguments.rounds, lambda: theirs(tokenizer, file))
    our_time, _ = fastest(arguments.rounds, lambda: ours(path, file, scratch / "tokens", arguments.threads))
    manifest = json.loads((scratch / "tokens/manifest.json").read_text())
    found = numpy.fromfile(scratch / "tokens/tokens.bin", dtype=f"<u{manifest['element_bytes']}")
    end = manifest["end_of_document"]
    equal = numpy.array_equal(found, numpy.concatenate([numpy.array([*one, end]) for one in ids]))
    size = sum(len(text.encode()) for text in texts) / 1e6
    return {
        "tokenizer": kind,
        "threads": arguments.threads,
        "megabytes": size,
        "tokens": len(found),
        "ids_equal": equal,
        "tokenizers_mb_per_s": size / their_time,
        "longhaul_mb_per_s": size / our_time,
        "ratio": their_time / our_time,
    }


def main():
    arguments = read_arguments()
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    # Both get so many processors and no more, for whatever they do beside encoding.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    texts = documents(arguments)
    results = []
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        with open(scratch / "documents.jsonl", "w") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        for kind in ["given"] if arguments.tokenizer else PATTERNS:
            result = compare(kind, arguments, scratch, scratch / "documents.jsonl", texts)
            results.append(result)
            print(
                f"{kind}: {result['ratio']:.1f} times as fast ({result['longhaul_mb_per_s']:.1f} against "
                f"{result['tokenizers_mb_per_s']:.1f} MB/s, {arguments.threads} threads, ids "
                f"{'equal' if result['ids_equal'] else 'DIFFER'})",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    return 0 if all(result["ids_equal"] and result["ratio"] >= 1 for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
