#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kinds of hosts of test_hosts.sh with the nft backend, the host's own rules in the same tables. Left out for time, since
# the rules are the same text as with legacy and their hooks are asked about here: node ports (host ports are translated at
# the same place), NodeLocalDNS of an iptables node (that of an IPVS node has its hooks and one more), --host-egress.
export NETPOLD_BACKEND=nft
source "$(dirname "$0")/test_hosts.sh"
