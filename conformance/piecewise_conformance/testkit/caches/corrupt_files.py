"""Ten thousand files that a file of a cache may have become: torn, flipped, edited, hostile.

All are made from one good file by rules and a seeded generator, so that a number names a file. A
rule may be meant for texts; what it makes of other bytes is as good a corrupt file.
"""

from __future__ import annotations

import random
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random, str], bytes]


def _cut(good: bytes, rng: random.Random, trace: str) -> bytes:
    return good[: rng.randrange(len(good))]


def _flip(good: bytes, rng: random.Random, trace: str) -> bytes:
    changed = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _other_character(good: bytes, rng: random.Random, trace: str) -> bytes:
    changed = bytearray(good)
    changed[rng.randrange(len(changed))] = rng.choice(b"0123456789(){}[]'\",:-_ \nabcxX.\\")
    return bytes(changed)


def _insert(good: bytes, rng: random.Random, trace: str) -> bytes:
    place = rng.randrange(len(good) + 1)
    what = rng.choice(
        (b"0", b"-", b"1", b"_", b"'", b"(", b"]", b"\0", b"\xff", b"\n", b"#", b"True")
    )
    return good[:place] + what + good[place:]


def _remove(good: bytes, rng: random.Random, trace: str) -> bytes:
    start = rng.randrange(len(good))
    return good[:start] + good[start + rng.choice((1, 1, 2, 10, 50)) :]


def _repeat(good: bytes, rng: random.Random, trace: str) -> bytes:
    start, end = sorted(rng.choices(range(len(good) + 1), k=2))
    return good[:end] + good[start:end] + good[end:]


def _swap_lines(good: bytes, rng: random.Random, trace: str) -> bytes:
    lines = good.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def _swap_words(good: bytes, rng: random.Random, trace: str) -> bytes:
    """Two words change places: numbers of ranges, indices, handles, digests."""
    words = good.replace(b"(", b" ( ").replace(b")", b" ) ").replace(b",", b" , ").split(b" ")
    places = [i for i, word in enumerate(words) if word.strip(b"'{}:\n")] or [0]
    i, j = rng.choice(places), rng.choice(places)
    words[i], words[j] = words[j], words[i]
    return b" ".join(words)


def _wrong_type(good: bytes, rng: random.Random, trace: str) -> bytes:
    value = rng.choice(
        ("None", "True", "1.0", "'1'", "b'1'", "[]", "{}", "()", "...", "-1", "1j", "{1}", "1e999")
    )
    digits = [i for i, byte in enumerate(good) if chr(byte).isdigit()] or [0]
    place = rng.choice(digits)
    return good[:place] + value.encode() + good[place + 1 :]


def _encoded(good: bytes, rng: random.Random, trace: str) -> bytes:
    encoding = rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-le", "cp037"))
    return good.decode("utf-8", "replace").encode(encoding, "replace")


def _hostile(good: bytes, rng: random.Random, trace: str) -> bytes:
    """Code that writes the file ``trace``, somewhere in the text or around it."""
    code = rng.choice(
        (
            f"__import__('pathlib').Path({trace!r}).write_text('ran')",
            f"open({trace!r}, 'w').write('ran')",
            f"[open({trace!r}, 'w') for _ in (1,)]",
            f"(lambda: open({trace!r}, 'w'))()",
            f"().__class__.__base__.__subclasses__()[0] or open({trace!r}, 'w')",
            f"f\"{{open({trace!r}, 'w')}}\"",
        )
    ).encode()
    form = rng.randrange(4)
    if form == 0:
        return code
    if form == 1:
        return b"{**{}, " + code + b": 1}"
    place = rng.choice([i for i, byte in enumerate(good) if byte in b"(,:"] or [0]) + 1
    if form == 2:
        return good[:place] + b" " + code + b", " + good[place:]
    return b"import os\n" + code + b"\n" + good


def _huge(good: bytes, rng: random.Random, trace: str) -> bytes:
    return rng.choice(
        (
            b"{" + b"((1, 8), 0, 'spy'): 1, " * 2_000 + b"}",
            b"(" * 500 + b")" * 500,
            b"[" * 5_000,
            b"{((1, 8), " + b"9" * 5_000 + b", 'spy'): 1}",
            b"{((1, 8), 0, 'spy'): " + b"-" * 3_000 + b"1}",
            good + b" " * 100_000,
            b"'" + b"a" * 100_000,
        )
    )


def _foreign(good: bytes, rng: random.Random, trace: str) -> bytes:
    return rng.choice(
        (
            b"",
            b"\n",
            b"None",
            b"[]",
            b"{}",
            b"{1, 2}",
            b"'text'",
            b"{'version': 2, 'entries': {}}",
            b'{"((1, 8), 0, \'spy\')": ["spy", 0]}',
            b"{(8, 0, 'spy'): ('spy', 0)}",  # keys as they were before there were ranges
            b"{((1, 8), 0): ('spy', 0)}",
            b"{((8, 1), 0, 'spy'): ('spy', 0)}",
            b"{((True, 8), 0, 'spy'): ('spy', 0)}",
            b"{((1, 8), 0, 'spy'): ('spy', 0)}",
            b"\x80\x04\x95",
            b"PK\x03\x04",
            b"<html></html>",
            b"\0" * rng.randrange(1, 100),
        )
    )


MUTATIONS: tuple[Mutation, ...] = (
    _cut,
    _flip,
    _other_character,
    _insert,
    _remove,
    _repeat,
    _swap_lines,
    _swap_words,
    _wrong_type,
    _encoded,
    _hostile,
    _huge,
    _foreign,
)


CUTS = 2_000  # of the first numbers


def mutated(good: bytes, number: int, trace: str) -> bytes:
    """File ``number``, made from ``good``, which is not empty: the first are cut off at sampled
    positions, the others changed by the rules.

    A hostile file writes the file ``trace`` if its code is run.
    """
    if number < CUTS:
        return good[: number * len(good) // CUTS]
    rng = random.Random(number)
    return MUTATIONS[number % len(MUTATIONS)](good, rng, trace)
