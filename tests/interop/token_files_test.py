"""Files of tokens that others make, written here by NumPy and as their writers do it."""

import json
import os
import struct
import subprocess

import numpy
import pytest

PROGRAM = os.environ["LONGHAUL_PROGRAM"]
END = 256
DOCUMENTS = [b"first document", b"2", b"the third, and last one"]
TOKENS = numpy.array([token for document in DOCUMENTS for token in (*document, END)])


def texts_of(*arguments):
    result = subprocess.run([PROGRAM, "detokenize", *map(str, arguments)], capture_output=True)
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line)["text"].encode() for line in result.stdout.split(b"\n") if line]


@pytest.mark.parametrize("kind", ["<u2", "<u4", "<i2", "<i4", "<i8", "<u8"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy(kind, version, tmp_path):
    with open(tmp_path / "tokens.npy", "wb") as file:
        numpy.lib.format.write_array(file, TOKENS.astype(kind), version=version)
    assert texts_of("--data-end", END, tmp_path / "tokens.npy") == DOCUMENTS


@pytest.mark.parametrize("array", [TOKENS.astype(">u2"), TOKENS.astype("<f4"), TOKENS.astype("<u2").reshape(-1, 1)])
def test_other_npy_is_refused(array, tmp_path):
    numpy.save(tmp_path / "tokens.npy", array)
    result = subprocess.run([PROGRAM, "detokenize", tmp_path / "tokens.npy"], capture_output=True, text=True)
    assert result.returncode == 2
    assert "tokens.npy: .npy header: " in result.stderr


@pytest.mark.parametrize("kind, options", [("<u2", []), ("<u4", ["--element", "u32"])])
def test_flat(kind, options, tmp_path):
    """nanoGPT's train.bin."""
    TOKENS.astype(kind).tofile(tmp_path / "train.bin")
    assert texts_of("--data-end", END, *options, tmp_path / "train.bin") == DOCUMENTS
    assert texts_of(*options, tmp_path / "train.bin") == [b"".join(DOCUMENTS)]


@pytest.mark.parametrize("magic, version, kind", [(20240520, 1, "<u2"), (20240801, 7, "<u4")])
def test_llm_c(magic, version, kind, tmp_path):
    header = numpy.zeros(256, dtype="<i4")
    header[:3] = magic, version, len(TOKENS)
    for shard in ("train_000001.bin", "train_000002.bin"):
        with open(tmp_path / shard, "wb") as file:
            file.write(header.tobytes() + TOKENS.astype(kind).tobytes())
    assert texts_of("--data-end", END, tmp_path / "train_000001.bin") == DOCUMENTS
    assert texts_of("--data-end", END, tmp_path) == 2 * DOCUMENTS


@pytest.mark.parametrize("code, kind", [(1, None), (3, "<i2"), (4, "<i4"), (5, "<i8"), (8, "<u2")])
def test_megatron(code, kind, tmp_path):
    """Two sequences in the first document, one in the second."""
    kind = kind or "|u1"
    parts = [numpy.frombuffer(document, dtype="u1") for document in DOCUMENTS]
    numpy.concatenate(parts).astype(kind).tofile(tmp_path / "pile_document.bin")
    sizes = numpy.array([len(part) for part in parts], dtype="<i4")
    places = numpy.concatenate([[0], numpy.cumsum(sizes[:-1])]).astype("<i8") * numpy.dtype(kind).itemsize
    index = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, 3, 3)
    index += sizes.tobytes() + places.tobytes() + numpy.array([0, 2, 3], dtype="<i8").tobytes()
    (tmp_path / "pile_document.idx").write_bytes(index)
    for name in ("pile_document", "pile_document.bin", "pile_document.idx"):
        assert texts_of(tmp_path / name) == [DOCUMENTS[0] + DOCUMENTS[1], DOCUMENTS[2]]
