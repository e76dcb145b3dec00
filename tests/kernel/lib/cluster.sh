# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The topology as Kubernetes objects in a state directory, which is changed only by renaming complete files into place.

STATE=$WORK/state
declare -A NAMESPACE_LABELS

namespace() { # name [labels(k=v,…)]
    NAMESPACE_LABELS[$1]=${2:-}
}

yaml_labels() { # indent labels(k=v,…)
    local indent=$1 pair
    [[ -n $2 ]] || return 0
    printf '%slabels:\n' "$indent"
    for pair in ${2//,/ }; do
        printf '%s  %s: "%s"\n' "$indent" "${pair%%=*}" "${pair#*=}"
    done
}

yaml_pod() { # pod
    local key=$1 port name
    printf -- '---\napiVersion: v1\nkind: Pod\nmetadata:\n  namespace: %s\n  name: %s\n  uid: uid-%s\n' \
        "${key%%/*}" "${key#*/}" "${key/\//-}"
    yaml_labels "  " "${POD_LABELS[$key]}"
    printf 'spec:\n  nodeName: %s\n  containers:\n  - name: main\n' "${POD_NODE[$key]}"
    if [[ -n ${POD_PORTS[$key]} ]]; then
        printf '    ports:\n'
        for port in ${POD_PORTS[$key]//,/ }; do
            name=${port%%:*}
            port=${port#*:}
            printf '    - name: %s\n      containerPort: %s\n      protocol: %s\n' "$name" "${port%/*}" "${port#*/}"
        done
    fi
    printf 'status:\n  phase: %s\n  podIP: %s\n  podIPs:\n  - ip: %s\n' "${POD_PHASE[$key]}" "${POD_IP4[$key]}" \
        "${POD_IP4[$key]}"
    [[ -z ${POD_IP6[$key]} ]] || printf '  - ip: "%s"\n' "${POD_IP6[$key]}"
}

# Put a file into the state directory as a whole.
state_put() { # name < content
    mkdir -p "$STATE"
    cat >"$WORK/put.tmp" && mv "$WORK/put.tmp" "$STATE/$1"
}

# Namespaces, nodes and pods as they are now (POD_HIDDEN[pod]=1 leaves one out).
state_write() {
    local name
    {
        for name in "${!NAMESPACE_LABELS[@]}"; do
            printf -- '---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n' "$name"
            yaml_labels "  " "kubernetes.io/metadata.name=$name${NAMESPACE_LABELS[$name]:+,${NAMESPACE_LABELS[$name]}}"
        done
        for name in "${NODES[@]}"; do
            printf -- '---\napiVersion: v1\nkind: Node\nmetadata:\n  name: %s\nspec:\n  podCIDRs: [10.244.%s.0/24]\n' \
                "$name" "${NODE_INDEX[$name]}"
            printf 'status:\n  addresses:\n  - type: InternalIP\n    address: %s\n' "${NODE_IP4[$name]}"
            [[ $FAMILIES != *6* ]] || printf '  - type: InternalIP\n    address: "%s"\n' "${NODE_IP6[$name]}"
        done
        for name in "${PODS[@]}"; do
            [[ -n ${POD_HIDDEN[$name]:-} ]] || yaml_pod "$name"
        done
    } | state_put cluster.yaml
}

# The policies in force, all of them, from files or standard input.
policies() { # FILE… | -
    if [[ $# -eq 0 ]]; then
        rm -f "$STATE/policy.yaml"
    elif [[ $1 == - ]]; then
        state_put policy.yaml
    else
        local file
        for file in "$@"; do
            echo "---"
            cat "$file" || return 1
        done | state_put policy.yaml
    fi
}
