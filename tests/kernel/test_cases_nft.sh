#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The cases of test_cases.sh, programmed through the nft backend: the same packets, the same verdicts.
export NETPOLD_BACKEND=nft
source "$(dirname "$0")/test_cases.sh"
