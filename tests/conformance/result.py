# SPDX-License-Identifier: Apache-2.0
"""What came of cases, as plain data that a world hands to the report."""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from options import GROUPS


@dataclass
class Count:
    """Of one case in one family."""

    steps: int = 0
    probes: int = 0
    mismatches: int = 0
    checked: int = 0       # verdicts of netpolctl that were compared
    disagreements: int = 0


@dataclass
class CaseResult:
    name: str
    title: str
    group: str
    kind: str
    status: str = "passed"  # passed, failed, broken (the world did not work), inapplicable
    seconds: float = 0.0
    steps: int = 0
    counts: dict[int, Count] = field(default_factory=dict)
    text: str = ""  # of a failure: sentences and truth tables; of an inapplicable one: what it needs


@dataclass
class WorldResult:
    """One world's cases. `end`: why it ended before its time, "" when it did not."""

    kind: str
    cases: list[CaseResult] = field(default_factory=list)
    end: str = ""
    skipped: str = ""

    def add(self, other: WorldResult) -> None:
        """Another share of the same kind's cases."""
        self.cases = sorted([*self.cases, *other.cases], key=lambda case: (GROUPS.index(case.group), case.name))
        self.end = self.end or other.end

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read(path: Path) -> WorldResult:
    data = json.loads(path.read_text(encoding="utf-8"))
    cases = [CaseResult(**{**case, "counts": {int(family): Count(**count) for family, count in case["counts"].items()}})
             for case in data.pop("cases")]
    return WorldResult(cases=cases, **data)
