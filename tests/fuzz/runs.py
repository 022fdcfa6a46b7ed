"""Damaged run folders: from a seed, one file of a whole folder with one thing wrong with it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

Damage = Callable[[bytes, random.Random], bytes]
# What may stand in the place of anything.
OTHERS = (None, True, -1, 0, 1.5, 10**400, float("nan"), "", "x", [], [[]], {}, {"a": 1}, [1, "x"])


def truncated(content: bytes, numbers: random.Random) -> bytes:
    """Return the first bytes."""
    return content[: numbers.randrange(len(content))]


def flipped(content: bytes, numbers: random.Random) -> bytes:
    """Return the content with one to four other bytes."""
    changed = bytearray(content)
    for _ in range(numbers.randint(1, 4)):
        changed[numbers.randrange(len(content))] ^= numbers.randint(1, 255)
    return bytes(changed)


def overwritten(content: bytes, numbers: random.Random) -> bytes:
    """Return the content with zeros from some place to another, as a crash of the machine leaves it."""
    first, last = sorted(numbers.randrange(len(content)) for _ in range(2))
    return content[:first] + bytes(last - first) + content[last:]


def without_a_field(content: bytes, numbers: random.Random) -> bytes:
    """Return JSON without a field, or without an element of a list."""
    return _edited_json(content, numbers, lambda place, key: place.__delitem__(key))


def with_another_value(content: bytes, numbers: random.Random) -> bytes:
    """Return JSON with something else in some place."""
    other = numbers.choice(OTHERS)
    return _edited_json(content, numbers, lambda place, key: place.__setitem__(key, other))


def nested(content: bytes, numbers: random.Random) -> bytes:
    """Return JSON that is far too deep."""
    return b"[" * numbers.choice([1000, 100000])


def in_a_line(damage: Damage) -> Damage:
    """Return what damages a line of a file."""

    def apply(content: bytes, numbers: random.Random) -> bytes:
        lines = content.splitlines()
        index = numbers.randrange(len(lines))
        lines[index] = damage(lines[index], numbers)
        return b"\n".join(lines) + b"\n"

    return apply


def with_lines_of_another(content: bytes, numbers: random.Random) -> bytes:
    """Return lines among which some stand twice, somewhere, as of two that write at once."""
    lines = content.splitlines()
    for _ in range(numbers.randint(1, 3)):
        lines.insert(numbers.randrange(len(lines) + 1), numbers.choice(lines))
    return b"\n".join(lines) + b"\n"


def without_a_line(content: bytes, numbers: random.Random) -> bytes:
    """Return the lines but for one."""
    lines = content.splitlines()
    del lines[numbers.randrange(len(lines))]
    return b"".join(line + b"\n" for line in lines)


def with_another_state(content: bytes, numbers: random.Random) -> bytes:
    """Return a checkpoint that torch reads, without a field or with something else in some place."""
    path = Path(str(content, "utf-8"))
    state = torch.load(path, weights_only=True)
    place, key = numbers.choice(list(_places(state)))
    value = place[key]
    if numbers.random() < 0.3:
        del place[key]
    elif isinstance(value, torch.Tensor) and numbers.random() < 0.7:
        place[key] = numbers.choice(
            [value.flatten()[:0], value[None], torch.full_like(value, torch.nan), value.bool()]
        )
    else:
        place[key] = copy.deepcopy(numbers.choice(OTHERS))
    torch.save(state, path)
    return path.read_bytes()


BYTES = (truncated, flipped, overwritten)
JSON = (*BYTES, without_a_field, with_another_value, nested)
LINES = (
    *(truncated, flipped, with_lines_of_another, without_a_line),
    *map(in_a_line, (truncated, flipped, without_a_field, with_another_value, nested)),
)


def damaged(content: bytes, damages: tuple[Damage, ...], seed: int) -> bytes:
    """Return a content with one thing wrong with it, the same for the same seed."""
    numbers = random.Random(seed)
    return numbers.choice(damages)(content, numbers)


def damage_checkpoint(path: Path, seed: int) -> None:
    """Damage a checkpoint in its bytes, or in what they mean."""
    numbers = random.Random(seed)
    if numbers.random() < 0.3:
        path.write_bytes(damaged(path.read_bytes(), BYTES, seed))
    else:
        with_another_state(str(path).encode(), numbers)


def _edited_json(
    content: bytes, numbers: random.Random, edit: Callable[[Any, Any], object]
) -> bytes:
    values = json.loads(content)
    place, key = numbers.choice(list(_places(values)))
    edit(place, key)
    return json.dumps(values).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all places in nested dicts and lists: what holds it, and the key there."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
