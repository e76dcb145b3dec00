#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long the proof of one node takes, beside rendering the same state in the same run.

verify.py [--build build] [--local 110] [--pods 10000] [--policies 1000] [--runs 3]
Builds the cluster of cluster.py, runs `netpolctl render` and `netpolctl verify` in turn, and prints the number of packet
classes, the best seconds of each, and their ratio. Exits 1 when the node is not proven or takes longer than --limit.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def timed(command: list[str]) -> tuple[float, str]:
    """Seconds of wall time of a command that must succeed, and what it printed."""
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[:2000]}")
    return seconds, done.stdout


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="directory of netpolctl")
    parser.add_argument("--local", type=int, default=110)
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds that a proof may take")
    return parser.parse_args()


def main() -> int:
    """Measure and print one table."""
    args = arguments()
    netpolctl = str(Path(args.build) / "netpolctl")
    render_best = verify_best = float("inf")
    with tempfile.TemporaryDirectory() as state:
        timed([sys.executable, str(HERE / "cluster.py"), state, "--local", str(args.local), "--pods", str(args.pods),
               "--policies", str(args.policies)])
        for _ in range(args.runs):
            seconds, _ = timed([netpolctl, "render", "-f", state, "--node", "n0"])
            render_best = min(render_best, seconds)
            seconds, text = timed([netpolctl, "verify", "-f", state, "--node", "n0", "-o", "json"])
            verify_best = min(verify_best, seconds)
    report = json.loads(text)
    print(f"{args.local} local pods, {args.pods} pods, {args.policies} policies, best of {args.runs}")
    print(f"  packet classes      {report['classes']:>12,}  ({report['pairs']:,} pairs of local pods' addresses)")
    print(f"  netpolctl render    {render_best:>12.3f} s")
    print(f"  netpolctl verify    {verify_best:>12.3f} s  (the proof alone {report['seconds']:.3f} s)")
    print(f"  verify / render     {verify_best / render_best:>12.2f}")
    if verify_best > args.limit:
        print(f"  longer than {args.limit:g} s")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
