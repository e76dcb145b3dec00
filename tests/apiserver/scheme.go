// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

var (
	scheme = newScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

// newScheme holds the v1 types twice: as v1 and as the internal version. Kubernetes does not publish its internal types, and
// with one Go type for both every conversion is the identity.
func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for group, add := range map[schema.GroupVersion]func(*runtime.Scheme) error{
		corev1.SchemeGroupVersion:       corev1.AddToScheme,
		discoveryv1.SchemeGroupVersion:  discoveryv1.AddToScheme,
		networkingv1.SchemeGroupVersion: networkingv1.AddToScheme,
	} {
		utilruntime.Must(add(s))
		internal := schema.GroupVersion{Group: group.Group, Version: runtime.APIVersionInternal}
		for name, goType := range s.KnownTypes(group) {
			// ListOptions and the like belong to no group.
			if strings.HasPrefix(goType.PkgPath(), "k8s.io/apimachinery/") {
				continue
			}
			object, err := s.New(group.WithKind(name))
			utilruntime.Must(err)
			s.AddKnownTypeWithName(internal.WithKind(name), object)
		}
		utilruntime.Must(s.SetVersionPriority(group))
	}
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	for _, k := range kinds {
		utilruntime.Must(s.AddFieldLabelConversionFunc(k.version.WithKind(k.kind), fieldLabels(k)))
	}
	addDefaults(s)
	return s
}

// fieldLabels says which field selectors a kind knows.
func fieldLabels(k *kind) runtime.FieldLabelConversionFunc {
	return func(label, value string) (string, string, error) {
		if _, known := k.fields(k.newObject())[label]; !known {
			return "", "", fmt.Errorf("field label not supported: %s", label)
		}
		return label, value, nil
	}
}

// addDefaults: what an API server fills in and clients rely on. Source: pkg/apis/*/v1/defaults.go of Kubernetes.
func addDefaults(s *runtime.Scheme) {
	s.AddTypeDefaultingFunc(&networkingv1.NetworkPolicy{}, func(object any) { defaultPolicy(object.(*networkingv1.NetworkPolicy)) })
	s.AddTypeDefaultingFunc(&discoveryv1.EndpointSlice{}, func(object any) { defaultSlice(object.(*discoveryv1.EndpointSlice)) })
	s.AddTypeDefaultingFunc(&corev1.Pod{}, func(object any) { defaultPod(object.(*corev1.Pod)) })
	s.AddTypeDefaultingFunc(&corev1.Service{}, func(object any) { defaultService(object.(*corev1.Service)) })
	s.AddTypeDefaultingFunc(&corev1.Namespace{}, func(object any) {
		namespace := object.(*corev1.Namespace)
		setDefault(&namespace.Status.Phase, corev1.NamespaceActive)
		// Added even when its value was changed: policies select by it.
		if namespace.Name != "" {
			metav1.SetMetaDataLabel(&namespace.ObjectMeta, corev1.LabelMetadataName, namespace.Name)
		}
	})
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func pointTo[T any](value T) *T { return &value }

func defaultPolicy(policy *networkingv1.NetworkPolicy) {
	if len(policy.Spec.PolicyTypes) == 0 {
		policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(policy.Spec.Egress) != 0 {
			policy.Spec.PolicyTypes = append(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	ports := func(ports []networkingv1.NetworkPolicyPort) {
		for i := range ports {
			if ports[i].Protocol == nil {
				ports[i].Protocol = pointTo(corev1.ProtocolTCP)
			}
		}
	}
	for i := range policy.Spec.Ingress {
		ports(policy.Spec.Ingress[i].Ports)
	}
	for i := range policy.Spec.Egress {
		ports(policy.Spec.Egress[i].Ports)
	}
}

func defaultSlice(slice *discoveryv1.EndpointSlice) {
	for i := range slice.Ports {
		port := &slice.Ports[i]
		if port.Name == nil {
			port.Name = pointTo("")
		}
		if port.Protocol == nil {
			port.Protocol = pointTo(corev1.ProtocolTCP)
		}
	}
}

func defaultPod(pod *corev1.Pod) {
	setDefault(&pod.Spec.RestartPolicy, corev1.RestartPolicyAlways)
	setDefault(&pod.Spec.DNSPolicy, corev1.DNSClusterFirst)
	setDefault(&pod.Spec.SchedulerName, corev1.DefaultSchedulerName)
	if pod.Spec.TerminationGracePeriodSeconds == nil {
		pod.Spec.TerminationGracePeriodSeconds = pointTo(int64(corev1.DefaultTerminationGracePeriodSeconds))
	}
	if pod.Spec.SecurityContext == nil {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if pod.Spec.EnableServiceLinks == nil {
		pod.Spec.EnableServiceLinks = pointTo(corev1.DefaultEnableServiceLinks)
	}
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			defaultContainer(&containers[i], pod.Spec.HostNetwork)
		}
	}
}

func defaultContainer(container *corev1.Container, hostNetwork bool) {
	setDefault(&container.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	setDefault(&container.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	setDefault(&container.ImagePullPolicy, corev1.PullIfNotPresent)
	for i := range container.Ports {
		port := &container.Ports[i]
		setDefault(&port.Protocol, corev1.ProtocolTCP)
		if hostNetwork {
			setDefault(&port.HostPort, port.ContainerPort)
		}
	}
}

func defaultService(service *corev1.Service) {
	setDefault(&service.Spec.Type, corev1.ServiceTypeClusterIP)
	setDefault(&service.Spec.SessionAffinity, corev1.ServiceAffinityNone)
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		setDefault(&port.Protocol, corev1.ProtocolTCP)
		if port.TargetPort == (intstr.IntOrString{}) {
			port.TargetPort = intstr.FromInt32(port.Port)
		}
	}
}
