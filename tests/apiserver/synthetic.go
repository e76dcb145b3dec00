// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var tiers = []string{"frontend", "backend", "cache"}

// meta is what all objects have. The uid follows from kind and number, so that a second load is an update.
func (o *loadOptions) meta(kind byte, number int, name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: labels, CreationTimestamp: o.created, Generation: 1,
		UID:         types.UID(fmt.Sprintf("10ad%02x00-0000-4000-8000-%012x", kind, number)),
		Annotations: map[string]string{"load/generation": fmt.Sprint(o.generation)}}
}

func (o *loadOptions) namespaceName(n int) string { return fmt.Sprintf("%s-%d", o.namespacePrefix, n) }

func (o *loadOptions) namespace(n int) *corev1.Namespace {
	name := o.namespaceName(n)
	return &corev1.Namespace{
		ObjectMeta: o.meta(1, n, name, map[string]string{corev1.LabelMetadataName: name, "team": fmt.Sprintf("team-%d", n%10)}),
		Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
}

// offset adds to an address.
func offset(base string, add uint32) string {
	bytes := netip.MustParseAddr(base).AsSlice()
	for i := len(bytes) - 1; add > 0; i-- {
		add += uint32(bytes[i])
		bytes[i] = byte(add)
		add >>= 8
	}
	address, _ := netip.AddrFromSlice(bytes)
	return address.String()
}

func (o *loadOptions) nodeAddress(node int) string  { return offset("172.16.0.0", uint32(node)+1) }
func (o *loadOptions) nodeAddress6(node int) string { return offset("fd00:172::", uint32(node)+1) }

// network6 is fd00:10:NODE::; a node's number takes one group.
func network6(node int) string { return fmt.Sprintf("fd00:10:%x::", node) }

func (o *loadOptions) network(node int) string {
	return offset("10.0.0.0", uint32(node)<<o.nodeBits)
}

func (o *loadOptions) node(n int) *corev1.Node {
	name := fmt.Sprintf("%s-%d", o.nodePrefix, n)
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		Message: "kubelet is posting ready status", LastHeartbeatTime: o.created, LastTransitionTime: o.created}
	node := &corev1.Node{
		ObjectMeta: o.meta(2, n, name, map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux",
			corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", n%3)}),
		Spec: corev1.NodeSpec{PodCIDR: fmt.Sprintf("%s/%d", o.network(n), 32-o.nodeBits)},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{ready},
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name},
				{Type: corev1.NodeInternalIP, Address: o.nodeAddress(n)}},
			NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.37.0", OperatingSystem: "linux", Architecture: "amd64"},
		},
	}
	node.Spec.PodCIDRs = []string{node.Spec.PodCIDR}
	if o.dual {
		node.Spec.PodCIDRs = append(node.Spec.PodCIDRs, network6(n)+"/64")
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: o.nodeAddress6(n)})
	}
	return node
}

func (o *loadOptions) policy(n int) *networkingv1.NetworkPolicy {
	port := func(protocol corev1.Protocol, number int32) []networkingv1.NetworkPolicyPort {
		return []networkingv1.NetworkPolicyPort{{Protocol: &protocol, Port: pointTo(intstr.FromInt32(number))}}
	}
	selects := func(key, value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	namespace := n % o.namespaces
	policy := &networkingv1.NetworkPolicy{
		ObjectMeta: o.meta(3, n, fmt.Sprintf("policy-%06d", n), nil),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *selects("app", fmt.Sprintf("app-%d", n%o.apps)),
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: port(corev1.ProtocolTCP, 8080), From: []networkingv1.NetworkPolicyPeer{
				{PodSelector: selects("tier", "frontend")},
				{NamespaceSelector: selects(corev1.LabelMetadataName, o.namespaceName((namespace+1)%o.namespaces))},
			}}},
			Egress: []networkingv1.NetworkPolicyEgressRule{
				{To: []networkingv1.NetworkPolicyPeer{{PodSelector: selects("app", fmt.Sprintf("app-%d", (n+1)%o.apps))}}},
				{Ports: port(corev1.ProtocolUDP, 53), To: []networkingv1.NetworkPolicyPeer{
					{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.255.0.0/16"}}}}},
			},
		},
	}
	policy.Namespace = o.namespaceName(namespace)
	return policy
}

func (o *loadOptions) pod(n int) *corev1.Pod {
	node, slot := n%o.nodes, n/o.nodes
	app := fmt.Sprintf("app-%d", n%o.apps)
	address := offset(o.network(node), uint32(slot)+2)
	hash := fmt.Sprintf("%08x", uint32(n%o.apps+1)*2654435761)
	pod := &corev1.Pod{
		ObjectMeta: o.meta(4, n, fmt.Sprintf("%s-%06d", o.podPrefix, n),
			map[string]string{"app": app, "tier": tiers[n%len(tiers)], "pod-template-hash": hash}),
		Spec: podSpec(app, fmt.Sprintf("%s-%d", o.nodePrefix, node)),
		Status: corev1.PodStatus{Phase: corev1.PodRunning, QOSClass: corev1.PodQOSBurstable, StartTime: &o.created,
			HostIP: o.nodeAddress(node), HostIPs: []corev1.HostIP{{IP: o.nodeAddress(node)}},
			PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}},
	}
	pod.Namespace = o.namespaceName((n + slot) % o.namespaces)
	pod.GenerateName = app + "-" + hash + "-"
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: app + "-" + hash,
		UID: types.UID("10ad0500-0000-4000-8000-" + "0000" + hash), Controller: pointTo(true), BlockOwnerDeletion: pointTo(true)}}
	if o.dual {
		pod.Status.HostIPs = append(pod.Status.HostIPs, corev1.HostIP{IP: o.nodeAddress6(node)})
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: offset(network6(node), uint32(slot)+2)})
	}
	for _, condition := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady,
		corev1.ContainersReady, corev1.PodScheduled} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: condition, Status: corev1.ConditionTrue,
			LastTransitionTime: o.created, ObservedGeneration: 1})
	}
	for i, container := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Ready: true, Started: pointTo(true), Image: container.Image,
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: o.created}},
			ImageID:     fmt.Sprintf("%s@sha256:%064x", container.Image, i+1),
			ContainerID: fmt.Sprintf("containerd://%064x", uint64(n)<<8|uint64(i)),
		})
	}
	pod.ManagedFields = o.managedFields(pod)
	return pod
}

func podSpec(app, node string) corev1.PodSpec {
	quantities := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	mounts := []corev1.VolumeMount{{Name: "token", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}
	container := func(name, image, portName string, port int32) corev1.Container {
		container := corev1.Container{Name: name, Image: image, VolumeMounts: mounts,
			Ports:     []corev1.ContainerPort{{Name: portName, ContainerPort: port, Protocol: corev1.ProtocolTCP}},
			Env:       []corev1.EnvVar{{Name: "APP", Value: app}, {Name: "LISTEN", Value: fmt.Sprintf("0.0.0.0:%d", port)}},
			Resources: corev1.ResourceRequirements{Requests: quantities("100m", "128Mi"), Limits: quantities("1", "512Mi")}}
		defaultContainer(&container, false)
		return container
	}
	tolerates := func(key string) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: pointTo(int64(300))}
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		NodeName: node, ServiceAccountName: "default", DeprecatedServiceAccount: "default", Priority: pointTo(int32(0)),
		PreemptionPolicy: pointTo(corev1.PreemptLowerPriority),
		Containers: []corev1.Container{container("main", "registry.example/shop/"+app+":1.2.3", "http", 8080),
			container("metrics", "registry.example/tools/exporter:0.9.1", "metrics", 9090)},
		Tolerations: []corev1.Toleration{tolerates(corev1.TaintNodeNotReady), tolerates(corev1.TaintNodeUnreachable)},
		Volumes: []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: pointTo(int32(0o644)),
			Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: pointTo(int64(3607)), Path: "token"}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
					Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
			}}}}},
	}}
	defaultPod(pod)
	return pod.Spec
}

// Fields that the managers of a real pod own: about a third of its size.
const (
	fieldsOfContainer = `"k:{\"name\":\"%s\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"APP\"}":{".":{},"f:name":{},"f:value":{}},` +
		`"k:{\"name\":\"LISTEN\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{".":{},` +
		`"k:{\"containerPort\":%d,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},"f:protocol":{}}},"f:resources":{".":{},` +
		`"f:limits":{".":{},"f:cpu":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"f:terminationMessagePath":{},` +
		`"f:terminationMessagePolicy":{}}`
	fieldsOfController = `{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{},"f:tier":{}},` +
		`"f:ownerReferences":{".":{},"k:{\"uid\":\"%s\"}":{}}},"f:spec":{"f:containers":{%s,%s},"f:dnsPolicy":{},` +
		`"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}`
	fieldsOfScheduler = `{"f:status":{"f:conditions":{".":{},"k:{\"type\":\"PodScheduled\"}":{".":{},"f:lastProbeTime":{},` +
		`"f:lastTransitionTime":{},"f:observedGeneration":{},"f:status":{},"f:type":{}}}}}`
	fieldsOfAnnotator = `{"f:metadata":{"f:annotations":{".":{},"f:load/generation":{}}}}`
	fieldsOfCondition = `"k:{\"type\":\"%s\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:observedGeneration":{},"f:status":{},"f:type":{}}`
	fieldsOfKubelet   = `{"f:status":{"f:conditions":{%s,%s,%s},"f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:phase":{},` +
		`"f:podIP":{},"f:podIPs":{".":{},"k:{\"ip\":\"%s\"}":{".":{},"f:ip":{}}},"f:startTime":{}}}`
)

func (o *loadOptions) managedFields(pod *corev1.Pod) []metav1.ManagedFieldsEntry {
	entry := func(manager, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &o.created,
			FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)}, Subresource: subresource}
	}
	container := func(i int) string {
		return fmt.Sprintf(fieldsOfContainer, pod.Spec.Containers[i].Name, pod.Spec.Containers[i].Ports[0].ContainerPort)
	}
	condition := func(kind corev1.PodConditionType) string { return fmt.Sprintf(fieldsOfCondition, kind) }
	return []metav1.ManagedFieldsEntry{
		entry("kube-controller-manager", "", fmt.Sprintf(fieldsOfController, pod.OwnerReferences[0].UID, container(0), container(1))),
		entry("kube-scheduler", "status", fieldsOfScheduler),
		entry("annotator", "", fieldsOfAnnotator),
		entry("kubelet", "status", fmt.Sprintf(fieldsOfKubelet, condition(corev1.ContainersReady), condition(corev1.PodInitialized),
			condition(corev1.PodReady), pod.Status.PodIP)),
	}
}
