#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The faults of test_faults.sh through the nft backend: each write fails, and so do the tools that it runs.
export NETPOLD_BACKEND=nft
source "$(dirname "$0")/test_faults.sh"
