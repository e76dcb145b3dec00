#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The well-known policy recipes, each with an outcome that a person wrote down: recipes/NAME.yaml and recipes/NAME.grid.
# Every pair of pods, nodes and an outside host; bridged and routed pods; same node and across; TCP, UDP, SCTP, ICMP; both
# families. The outcome must be what the evaluator says and what packets do.
# shellcheck disable=SC2034 # the harness uses what is set here
source "$(dirname "$0")/lib.sh"
sandbox "$@"

fabric
node n1
node n2
outside
routes
namespace x team=x
namespace y purpose=production
namespace z purpose=monitoring
pod x/web n1 bridged app=web
pod x/webr n1 routed app=web
pod x/api n1 bridged app=api,role=client
pod y/cli n1 routed app=cli,role=client
pod x/apir n2 routed app=api,role=client
pod x/db n2 bridged app=db
pod y/job n2 bridged app=job,type=monitoring
pod z/prom n2 routed app=prom,type=monitoring
ENDPOINT["out2"]="out 203.0.113.20 2001:db8:99::20"
state_write

# Without any policy everything reaches everything; the probes themselves are right.
open=$(
    echo "probes t=tcp/80 T=tcp/81 u=udp/80 U=udp/81 s=sctp/80 i=icmp"
    names=("${PODS[@]}" "${NODES[@]}" out)
    echo "${names[@]}"
    for row in "${names[@]}"; do
        printf '%s' "$row"
        for column in "${names[@]}"; do
            if [[ $row == "$column" ]]; then printf ' -'; else printf ' *'; fi
        done
        echo
    done
)
check_grid "before netpold, everything open" kernel <<<"$open"

for recipe in "$KERNEL_DIR"/recipes/*.yaml; do
    name=$(basename "$recipe" .yaml)
    policies "$recipe"
    if netpold_once; then
        check_grid "$name" <"${recipe%.yaml}.grid"
    else
        fail "$name: netpold --once"
    fi
done

policies
check "policies removed: netpold --once" netpold_once
check_grid "policies removed, everything open" <<<"$open"
check "cleanup" purge
check_equal "nothing of netpold left on n1" 0 "$(own_objects n1)"
check_equal "nothing of netpold left on n2" 0 "$(own_objects n2)"
finish
