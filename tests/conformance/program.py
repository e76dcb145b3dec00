# SPDX-License-Identifier: Apache-2.0
"""Asks netpolctl check: for tests that have objects and no world."""
from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from model import Object


def netpolctl() -> Path:
    """The program under test, from $BUILD (build/)."""
    return Path(__file__).resolve().parents[2] / os.environ.get("BUILD", "build") / "netpolctl"


def ask(program: Path, objects: list[Object], queries: Iterable[Object]) -> list[Object]:
    """One answer for each query."""
    lines = [json.dumps(query) + "\n" for query in queries]
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as state:
        json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, state)
        state.flush()
        done = subprocess.run([program, "check", "-f", state.name, "--queries", "-"], input="".join(lines), text=True,
                              capture_output=True, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(lines):
        raise RuntimeError(f"netpolctl answered {len(answers)} of {len(lines)}: {done.stderr}")
    return answers
