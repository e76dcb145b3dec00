# SPDX-License-Identifier: Apache-2.0
"""Inside of a sandbox: one scenario. The environment says which (E2E_SCENARIO), where the result goes (E2E_RESULT),
whether to stay at the end (E2E_KEEP) and where logs are copied to (E2E_LOGS)."""
from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import scenario
from cluster import Cluster, Failed
from machines import Broken

WORK = Path("/run/work")
LOGS = ("*.log", "*.jsonl", "*.md", "*.json")


def run(one: scenario.Scenario) -> dict[str, object]:
    """The result as main.py reads it."""
    started = time.monotonic()
    cluster = None
    status, text, notes = "passed", "", ""
    ready = 0.0
    data = Path(tempfile.mkdtemp(prefix="etcd-", dir=os.environ["E2E_DISK"])) if one.on_disk else None
    try:
        cluster = Cluster(WORK, Path(os.environ["BUILD"]), kind=one.kind, options=one.options, agents=one.agents,
                          data=data)
        ready = time.monotonic() - started
        one.run(cluster)
        complaints = [] if os.environ.get("E2E_KEEP") else cluster.close()
        if complaints:
            raise Failed("a sanitizer complains:\n" + "\n".join(complaints[:5]))
    except Failed as fault:
        status, text = "failed", str(fault)
    except Broken as fault:
        status, text = "broken", f"the test itself does not work: {fault}"
    except Exception:  # whatever a scenario does wrong must be told like the rest
        status, text = "broken", traceback.format_exc()
    if cluster is not None:
        notes = cluster.notes()
        if status != "passed":
            try:
                text += "\n" + cluster.diagnosis()
            except Exception as fault:  # the first fault is the one to tell
                text += f"\n(no diagnosis: {fault})"
        _copy_logs(one.name)
        if os.environ.get("E2E_KEEP"):
            print(f"{status} {text}", flush=True)
            _stay(one.name)
        cluster.agents.kill()
        cluster.server.close()
    if data is not None:
        shutil.rmtree(data, ignore_errors=True)
    return {"name": one.name, "status": status, "text": text, "notes": notes, "ready": ready,
            "seconds": time.monotonic() - started, "probes": cluster.probes if cluster else 0,
            "tables": cluster.tables if cluster else 0, "requests": len(cluster.server.log.requests) if cluster else 0}


def _copy_logs(name: str) -> None:
    if not os.environ.get("E2E_LOGS"):
        return
    target = Path(os.environ["E2E_LOGS"], name)
    target.mkdir(parents=True, exist_ok=True)
    for pattern in LOGS:
        for directory in (WORK, WORK / "server"):
            for path in directory.glob(pattern):
                if "kubeconfig" not in path.name:
                    shutil.copy(path, target / path.name)


def _stay(name: str) -> None:
    print(f"{name} is over and stays; kubectl and netpolctl find the cluster by {WORK}/server/admin.kubeconfig. Ctrl-C ends "
          "it.", flush=True)
    signal.pause()


def main() -> int:
    one = scenario.every()[os.environ["E2E_SCENARIO"]]
    result = run(one)
    Path(os.environ["E2E_RESULT"]).write_text(json.dumps(result), encoding="utf-8")
    return 0 if result["status"] == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
