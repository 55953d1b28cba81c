"""How well changes of a surface are recognised: precision and recall over the labelled set in ``tests/labelled``.

    python benchmarks/labelled.py [LANGUAGE]

Each line that a case expects counts once: found (right), not found (missed); what was found beyond them is wrong. Whether a
change breaks callers counts apart, over what was rightly found. Prints a table per language and aspect, and what was
wrong or missed in which case.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.labelled_cases import NOTHING, Score, cases, look, score

ASPECTS = ("public", "endpoint", "config")


def main() -> None:
    language = sys.argv[1] if len(sys.argv) > 1 else "*"
    table: dict[tuple[str, str], Score] = {}
    counts: dict[str, int] = {}
    remarks: list[str] = []
    for case in cases(language):
        counts[case.language] = counts.get(case.language, 0) + 1
        seen = look(case)
        for aspect in ASPECTS:
            one = score(
                (line for line in case.expected if line.startswith(aspect)),
                (line for line in seen.found if line.startswith(aspect)),
            )
            key = (case.language, aspect)
            table[key] = table.get(key, NOTHING) + one
        both = case.expected & seen.found
        key = (case.language, "breaking")
        table[key] = table.get(key, NOTHING) + score(case.breaking & both, seen.breaking & both)
        name = f"{case.language}/{case.name}"
        remarks += [f"missed  {name}: {line}" for line in sorted(case.expected - seen.found)]
        remarks += [f"wrong   {name}: {line}" for line in sorted(seen.found - case.expected)]
        remarks += [f"broken? {name}: {line}" for line in sorted((case.breaking ^ seen.breaking) & both)]
        remarks += [f"unread  {name}: {file}" for file in sorted(seen.unread)]
    print(f"{'language':12} {'aspect':10} {'right':>6} {'wrong':>6} {'missed':>6} {'precision':>10} {'recall':>7}")
    for (name, aspect), one in sorted(table.items()):
        if one != NOTHING:
            print(row(f"{name} ({counts[name]})" if aspect == "breaking" else name, aspect, one))
    for aspect in ("breaking", ""):
        total = sum((s for (_, a), s in table.items() if (a == "breaking") == bool(aspect)), NOTHING)
        print(row(f"all ({sum(counts.values())})", aspect or "changes", total))
    print("\n".join(remarks))


def row(name: str, aspect: str, one: Score) -> str:
    return f"{name:12} {aspect:10} {one.right:6} {one.wrong:6} {one.missed:6} {one.precision:10.3f} {one.recall:7.3f}"


if __name__ == "__main__":
    main()
