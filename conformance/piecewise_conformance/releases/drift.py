"""Two torches compared by their source: which names that backends lean on have changed, and how."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .layers import layer_of_file
from .names import Name, leaned_on
from .reading import Described, Reader
from .sources import Torch

GONE, NEW, SIGNATURE, MEMBERS, SETTINGS, RAISES, BODY = (
    "gone",
    "new",
    "signature",
    "members",
    "settings",
    "raises",
    "body",
)
_LONGEST = 160


@dataclass(frozen=True)
class Change:
    """One change of one name; ``lines`` say how, ``diff`` has the changed source of a body."""

    name: str
    layer: str
    kind: str
    lines: tuple[str, ...]
    why: str = ""
    where: str = ""
    diff: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drift:
    """The comparison of two torches."""

    old: Torch
    new: Torch
    compared: int
    unknown: int  # names that neither source defines, such as those from C++
    changes: tuple[Change, ...] = field(default=())


def drift(old: Torch, new: Torch, names: Iterable[Name] | None = None) -> Drift:
    """Compare all ``names``, by default those that the project leans on."""
    before, after = Reader(old), Reader(new)
    changes: list[Change] = []
    compared = unknown = 0
    seen: set[tuple[str, str]] = set()
    for each in leaned_on() if names is None else names:
        was, now = before.describe(each.name), after.describe(each.name)
        if was is None and now is None:
            unknown += 1
            continue
        place = ((was and was.where) or "", (now and now.where) or "")
        if place in seen:
            continue  # the same thing under another name
        seen.add(place)
        compared += 1
        changes += _changes(each, was, now)
    return Drift(old, new, compared, unknown, tuple(sorted(changes, key=_rank)))


def _rank(change: Change) -> tuple[str, int, str]:
    order = (GONE, NEW, SIGNATURE, MEMBERS, RAISES, SETTINGS, BODY)
    return change.layer, order.index(change.kind), change.name


def _changes(name: Name, was: Described | None, now: Described | None) -> Iterator[Change]:
    shown = now or was
    assert shown is not None
    layer = name.layer or layer_of_file(shown.where.partition(":")[0])
    why = name.why or f"used in {', '.join(name.users[:2])}"

    def change(kind: str, lines: Iterable[str], diff: Iterable[str] = ()) -> Change:
        return Change(name.name, layer, kind, tuple(lines), why, shown.where, tuple(diff))

    if was is None or now is None:
        yield change(GONE if now is None else NEW, [f"a {shown.kind}"])
        return
    if was.source == now.source:
        return
    if was.kind != now.kind:
        yield change(SIGNATURE, [f"was a {was.kind}, is a {now.kind}"])
        return
    if was.kind == "function":
        if (a := was.facts["signature"]) != (b := now.facts["signature"]):
            yield change(SIGNATURE, _of_signatures(a, b))
        if lines := _of_texts(was.facts["raises"], now.facts["raises"]):
            yield change(RAISES, lines)
    elif was.kind == "value":
        if was.facts != now.facts:
            yield change(SETTINGS, [f"{was.facts['value']} → {now.facts['value']}"])
    elif was.kind != "module" or not name.users:
        kind = SETTINGS if was.kind == "settings" else MEMBERS
        if lines := list(_of_facts(was.facts, now.facts)):
            yield change(kind, lines)
    if name.body and was.body != now.body:
        diff = _diff(was.body, now.body)
        added, removed = (sum(each.startswith(sign) for each in diff) for sign in "+-")
        yield change(BODY, [f"{added} lines added, {removed} removed"], diff)


def _of_signatures(was: str, now: str) -> list[str]:
    """Parameters that came and went; both signatures whole where only their order changed."""
    before, after = (_parameters(each) for each in (was, now))
    lines = [f"+{each}" for each in after if each not in before]
    lines += [f"-{each}" for each in before if each not in after]
    return lines or [f"-{was}", f"+{now}"]


def _parameters(text: str) -> list[str]:
    found, depth, start = [], 0, 1
    for at, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if (letter == "," and depth == 1) or at == len(text) - 1:
            found.append(text[start:at].strip())
            start = at + 1
    return [each for each in found if each]


def _of_texts(was: str, now: str) -> list[str]:
    before, after = was.splitlines(), now.splitlines()
    return [f"-{_cut(each)}" for each in before if each not in after] + [
        f"+{_cut(each)}" for each in after if each not in before
    ]


def _of_facts(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for key in dict.fromkeys([*was, *now]):
        if key not in now:
            yield f"-{key}"
        elif key not in was:
            yield f"+{key} {_cut(now[key])}" if now[key] != "defined" else f"+{key}"
        elif was[key] != now[key] and now[key].startswith("("):
            yield f"{key}: {', '.join(_of_signatures(was[key], now[key]))}"
        elif was[key] != now[key] and key.endswith(" raises"):
            yield from (f"{key} {each}" for each in _of_texts(was[key], now[key]))
        elif was[key] != now[key]:
            yield f"{key}: {_cut(was[key])} → {_cut(now[key])}"


def _diff(was: str, now: str) -> list[str]:
    lines = difflib.unified_diff(was.splitlines(), now.splitlines(), lineterm="", n=1)
    return [each for each in lines if not each.startswith(("+++", "---"))]


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def title(found: Drift) -> str:
    """The two torches, with their commits."""
    sides = [
        f"{each.version or each.path.name} ({each.git_version[:12] or 'commit unknown'})"
        for each in (found.old, found.new)
    ]
    return " → ".join(sides)


def as_text(found: Drift, *, bodies: bool = False) -> str:
    """For the terminal: the changes by layer; with ``bodies`` the changed source as well."""
    lines = [f"torch {title(found)}", summary(found), ""]
    layer = ""
    for each in found.changes:
        if each.layer != layer:
            lines += ([""] if layer else []) + [each.layer, ""]
            layer = each.layer
        lines += [f"  {each.name} – {each.kind}", f"    {each.why} ({each.where})"]
        lines += [f"    {line}" for line in each.lines]
        lines += [f"      {line}" for line in (each.diff if bodies else ())]
    return "\n".join(lines).rstrip()


def as_markdown(found: Drift, *, bodies: bool = False) -> str:
    """For an issue or a pull request: a table for each layer."""
    lines = [f"### torch {title(found)}", "", summary(found), ""]
    for layer in dict.fromkeys(each.layer for each in found.changes):
        lines += [f"#### {layer}", "", "| name | change | |", "|---|---|---|"]
        of_layer = [each for each in found.changes if each.layer == layer]
        for each in of_layer:
            how = "<br>".join(f"`{_in_cell(line)}`" for line in each.lines)
            lines.append(f"| `{each.name}` | {each.kind} | {how} |")
        lines.append("")
        for each in of_layer if bodies else ():
            if each.diff:
                lines += [f"<details><summary>{each.name}</summary>", "", "```diff"]
                lines += [*each.diff, "```", "", "</details>", ""]
    return "\n".join(lines).rstrip()


def summary(found: Drift) -> str:
    """How many names were compared, and how many have changed."""
    changed = len({each.name for each in found.changes})
    return (
        f"{found.compared} names compared, {changed} changed; {found.unknown} are not defined "
        "in Python and were not compared"
    )


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'").replace("\n", " ")
