#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite's own parts, without packets: its independent oracle, the generator's structure, and netpolctl check
# against the oracle about every cell of every generated step and about random clusters (SEED=, N=).
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
BUILD=$(realpath "${BUILD:-build}")
export BUILD
out=$(python3 -W error -m unittest discover -s tests/conformance -p 'test_*.py' 2>&1)
rc=$?
echo "$out"
ran=$(sed -n 's/^Ran \([0-9]*\) test.*/\1/p' <<<"$out")
if [[ $rc -eq 0 && ${ran:-0} -gt 0 ]]; then
    echo "$ran passed, 0 failed, 0 skipped"
else
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
