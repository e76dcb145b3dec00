#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The streams of test_streams.sh through the nft backend: nothing lost, nothing let through.
# alone: it sends at a rate
export NETPOLD_BACKEND=nft CHANGES=${CHANGES:-200}
source "$(dirname "$0")/test_streams.sh"
