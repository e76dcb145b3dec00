# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the parts use what is set here
#
# The harness of the kernel tests: real packets between network namespaces, judged by the kernel that netpold programs.
# A test sources this file, calls sandbox "$@" first, builds a topology, and ends with finish.
#
#   lib/sandbox.sh   private user, network, mount and pid namespaces; what passed and failed
#   lib/topology.sh  nodes, bridged and routed pods, an outside host, services
#   lib/cluster.sh   the same as Kubernetes objects: the state directory that netpold reads
#   lib/daemon.sh    netpold on each node
#   lib/probe.sh     who reaches whom: wanted, evaluated, seen
#
# Nothing here touches what is outside of the sandbox, and all of it ends with the sandbox.

# What fails behind a pipe ("… | check_it") counts as well.
shopt -s lastpipe

KERNEL_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT_DIR=$(cd "$KERNEL_DIR/../.." && pwd)
BUILD=$(cd "$ROOT_DIR" && realpath -m "${BUILD:-build}")
NETPROBE=$BUILD/tests/tools/netprobe
NETPOLD=$BUILD/netpold
NETPOLCTL=$BUILD/netpolctl
export BUILD PATH=$PATH:/usr/sbin:/sbin

# shellcheck source=lib/sandbox.sh
source "$KERNEL_DIR/lib/sandbox.sh"
# shellcheck source=lib/topology.sh
source "$KERNEL_DIR/lib/topology.sh"
# shellcheck source=lib/cluster.sh
source "$KERNEL_DIR/lib/cluster.sh"
# shellcheck source=lib/daemon.sh
source "$KERNEL_DIR/lib/daemon.sh"
# shellcheck source=lib/probe.sh
source "$KERNEL_DIR/lib/probe.sh"
