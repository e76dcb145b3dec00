#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The ways round of test_ways_round.sh against the tables of the nft backend: the same packets, the same verdicts.
export NETPOLD_BACKEND=nft
source "$(dirname "$0")/test_ways_round.sh"
