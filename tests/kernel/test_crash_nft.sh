#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kills of test_crash.sh through the nft backend; members alone are written in the same way by both.
# long: a kill around every write
export NETPOLD_BACKEND=nft KILLS=${KILLS:-25} BUDGET=${BUDGET:-15} PAIRS='a-b b-a'
source "$(dirname "$0")/test_crash.sh"
