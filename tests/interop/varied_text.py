"""Text that tokenizers could stumble over, the same in every run: programs, many scripts, emoji, combining marks, control
bytes, invalid UTF-8, very long words, runs of white space, added and special tokens."""

import pathlib
import random
import sysconfig
import unicodedata

SPECIAL = ["<|endoftext|>", "<|special|>"]
ADDED = ["<|left|>", "<|right|>", "word", "   ", "e\u0301"]

RANGES = [
    (0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x400), (0x400, 0x530), (0x590, 0x600), (0x600, 0x700),
    (0x900, 0x980), (0xE00, 0xE80), (0x1100, 0x1200), (0x1E00, 0x2070), (0x3040, 0x3100), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A4), (0xFE00, 0xFE10), (0x1F1E6, 0x1F200), (0x1F300, 0x1F650), (0x10000, 0x10400), (0xE000, 0xE100),
    (0, 0x20), (0, 0x110000),
]  # fmt: skip
SCRAPS = [
    "'s", "'S", "'LL", "'re", "'\u017f", " ", "\n", "I", "don't", " they'VE", "12345", "3.14", "!?...", "  ", "\r\n",
    "word", "words", "a word", "e\u0301", "\u00e9", "\u180e", "\u200d", "\ufeff", "a\u0334\u0301\u0327", "\u1ac1\u0301",
]  # fmt: skip


def character(chance, first, end):
    """Of those that Unicode 14 (this Python's and PCRE2's) has: later ones have no class in older libraries."""
    while True:
        code = chance.randrange(first, end)
        if not 0xD800 <= code < 0xE000 and unicodedata.category(chr(code)) != "Cn":
            return chr(code)


def words(chance):
    first, end = chance.choice(RANGES)
    lengths = [chance.randrange(1, 12) for _ in range(chance.randrange(1, 30))]
    return " ".join("".join(character(chance, first, end) for _ in range(n)) for n in lengths)


def medley(chance):
    return "".join(character(chance, *chance.choice(RANGES)) for _ in range(chance.randrange(1, 200)))


def run(chance):
    return chance.choice([" ", "\n", "\t", "\r\n", "\u00a0", "a", "e\u0301", "0", "\u3000"]) * chance.randrange(1, 300)


def long_word(chance):
    return "".join(chr(chance.randrange(97, 123)) for _ in range(chance.randrange(200, 5000)))


def scraps(chance):
    space = ["", "", " ", "   ", "\n "]
    some = (chance.choice(SCRAPS + SPECIAL + ADDED) for _ in range(chance.randrange(1, 60)))
    return "".join(scrap + chance.choice(space) for scrap in some)


def noise(chance):
    return bytes(chance.randrange(256) for _ in range(chance.randrange(1, 60)))


def damaged(chance, data):
    """One byte changed, or the end cut off in the middle of a character."""
    if chance.random() < 0.5:
        return data[: chance.randrange(len(data))] if len(data) > 1 else data
    place = chance.randrange(len(data))
    return data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]


def sources(repository):
    """Programs: of this repository and of Python itself."""
    folders = [(repository, "**/*.cpp"), (repository, "**/*.h"), (pathlib.Path(sysconfig.get_paths()["stdlib"]), "*.py")]
    for folder, pattern in folders:
        for file in sorted(folder.glob(pattern)):
            if "build" not in file.relative_to(folder).parts:
                yield file.read_bytes()


def documents(repository, size, seed=1):
    """Documents of together at least `size` bytes, of programs about a third."""
    chance = random.Random(seed)
    kinds, weights = [words, medley, run, long_word, scraps, noise], [50, 10, 5, 4, 15, 6]
    found, total = [], 0
    for program in sources(repository):
        if total > size / 3:
            break
        found.append(program)
        total += len(program)
    while total < size:
        document = b""
        for _ in range(chance.randrange(1, 120)):
            data = chance.choices(kinds, weights)[0](chance)
            data = data if isinstance(data, bytes) else data.encode()
            document += damaged(chance, data) if chance.random() < 0.05 else data
            document += chance.choice([b" ", b"\n", b"", b"\n\n", b"  "])
        found.append(document)
        total += len(document)
    chance.shuffle(found)
    return [document for document in found if document]
