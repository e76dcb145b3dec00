#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unknown pods of test_unknown_pods.sh against the tables of the nft backend: the same packets, the same verdicts.
export NETPOLD_BACKEND=nft
source "$(dirname "$0")/test_unknown_pods.sh"
