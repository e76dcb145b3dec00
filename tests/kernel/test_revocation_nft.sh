#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Connections are cut, and go on, as in test_revocation.sh, through the nft backend.
export NETPOLD_BACKEND=nft
source "$(dirname "$0")/test_revocation.sh"
