# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the tests use what is set here
# The part of a container runtime: a network that is made by a list of plugins, netpold-cni the last of them.

CNI_PLUGIN=$BUILD/netpold-cni
CNI_REAL=/usr/lib/cni
[[ -d $CNI_REAL ]] || CNI_REAL=/usr/libexec/cni
CNI_RC=0 CNI_OUT='' CNI_ERR=''
# What it is run by.
CNI_IN=(ip netns exec n1)

# The network configuration on standard input; what it says is in CNI_OUT and CNI_ERR. TIMEOUT and EXTRA (members, with a
# comma behind each) go into it.
cni_config() { # cniVersion [prevResult]
    printf '{"cniVersion":"%s","name":"net","type":"netpold-cni",%s"socket":"%s","timeout":"%s"%s}' "$1" "${EXTRA:-}" \
        "${SOCKET:-$WORK/run.n1/netpold.sock}" "${TIMEOUT:-5s}" "${2:+,\"prevResult\":$2}"
}
cni() { # COMMAND container-id [namespace/name [uid]] < configuration
    local args="IgnoreUnknown=1"
    [[ -z ${3:-} ]] || args+=";K8S_POD_NAMESPACE=${3%%/*};K8S_POD_NAME=${3#*/};K8S_POD_INFRA_CONTAINER_ID=$2"
    [[ -z ${4:-} ]] || args+=";K8S_POD_UID=$4"
    CNI_OUT=$(CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_NETNS=/run/netns/$2 CNI_IFNAME=${IFNAME:-eth0} CNI_ARGS=$args CNI_PATH=$CNI_REAL \
        "${CNI_IN[@]}" "${PLUGIN:-$CNI_PLUGIN}" 2>"$WORK/cni.err")
    CNI_RC=$?
    CNI_ERR=$(<"$WORK/cni.err")
    return "$CNI_RC"
}
# The policy that shows whether a pod's rules stand: app=new talks with app=cli alone.
only_with_cli() {
    policies - <<'E2'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: x, name: new}
spec:
  podSelector: {matchLabels: {app: new}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: cli}}}]}]
E2
}
cni_code() { # of the error in CNI_OUT
    sed -n 's/.*"code":\([0-9]*\),.*/\1/p' <<<"$CNI_OUT"
}
# What the plugin before says: one interface on the host, one in the pod, these addresses.
cni_result() { # cniVersion port address…
    local version=$1 port=$2 list='' address
    shift 2
    for address in "$@"; do
        list+="${list:+, }{$([[ $version == 0.* ]] && echo '"version": "4", ')\"interface\": 1, \"address\": \"$address\"}"
    done
    printf '{ "cniVersion": "%s",  "interfaces":[{"name":"%s","mac":"aa:bb:cc:00:00:01"},{"name":"eth0","sandbox":"/run/netns/x"}], "ips": [%s], "dns":{"nameservers":["10.96.0.10"]},\n "x-order": [1.50, 1e3, "\\u00e9"] }' \
        "$version" "$port" "$list"
}
