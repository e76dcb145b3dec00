#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The drift of test_drift.sh through the nft backend: the same kinds, the same repairs.
# alone: it measures how long rules are away
export NETPOLD_BACKEND=nft
source "$(dirname "$0")/test_drift.sh"
