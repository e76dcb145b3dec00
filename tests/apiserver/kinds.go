// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is all that the server knows about a resource.
type kind struct {
	version          schema.GroupVersion
	kind             string
	resource         string // plural; also the name of its keys in etcd
	singular         string
	short            []string
	namespaced       bool
	validName        validation.ValidateNameFunc
	newObject        func() runtime.Object
	newList          func() runtime.Object
	status           bool                              // has a subresource status
	statusOfCreation bool                              // a creator may set the status, too
	generation       bool                              // metadata.generation counts changes of the specification
	moreFields       func(runtime.Object) fields.Set   // field selectors beyond those of metadata
	create           func(runtime.Object)              // what a creation adds
	graceful         func(runtime.Object) (asked bool) // whether a deletion with a grace period leaves it for now
}

// The order is that of discovery.
var kinds = []*kind{
	{
		version: corev1.SchemeGroupVersion, kind: "Namespace", resource: "namespaces", singular: "namespace", short: []string{"ns"},
		validName: validation.ValidateNamespaceName, status: true,
		newObject: func() runtime.Object { return &corev1.Namespace{} },
		newList:   func() runtime.Object { return &corev1.NamespaceList{} },
		moreFields: func(o runtime.Object) fields.Set {
			return fields.Set{"status.phase": string(o.(*corev1.Namespace).Status.Phase)}
		},
	},
	{
		version: corev1.SchemeGroupVersion, kind: "Node", resource: "nodes", singular: "node", short: []string{"no"},
		validName: validation.NameIsDNSSubdomain, status: true, statusOfCreation: true,
		newObject: func() runtime.Object { return &corev1.Node{} },
		newList:   func() runtime.Object { return &corev1.NodeList{} },
		moreFields: func(o runtime.Object) fields.Set {
			return fields.Set{"spec.unschedulable": strconv.FormatBool(o.(*corev1.Node).Spec.Unschedulable)}
		},
	},
	{
		version: corev1.SchemeGroupVersion, kind: "Pod", resource: "pods", singular: "pod", short: []string{"po"},
		namespaced: true, validName: validation.NameIsDNSSubdomain, status: true, generation: true,
		newObject:  func() runtime.Object { return &corev1.Pod{} },
		newList:    func() runtime.Object { return &corev1.PodList{} },
		moreFields: podFields,
		create:     func(o runtime.Object) { o.(*corev1.Pod).Status.Phase = corev1.PodPending },
		// Nobody waits for a pod that runs nowhere.
		graceful: func(o runtime.Object) bool {
			pod := o.(*corev1.Pod)
			return pod.Spec.NodeName != "" && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
		},
	},
	{
		version: corev1.SchemeGroupVersion, kind: "Service", resource: "services", singular: "service", short: []string{"svc"},
		namespaced: true, validName: validation.NameIsDNS1035Label, status: true,
		newObject: func() runtime.Object { return &corev1.Service{} },
		newList:   func() runtime.Object { return &corev1.ServiceList{} },
		moreFields: func(o runtime.Object) fields.Set {
			spec := &o.(*corev1.Service).Spec
			return fields.Set{"spec.clusterIP": spec.ClusterIP, "spec.type": string(spec.Type)}
		},
	},
	{
		version: corev1.SchemeGroupVersion, kind: "Event", resource: "events", singular: "event", short: []string{"ev"},
		namespaced: true, validName: validation.NameIsDNSSubdomain,
		newObject: func() runtime.Object { return &corev1.Event{} },
		newList:   func() runtime.Object { return &corev1.EventList{} },
		moreFields: func(o runtime.Object) fields.Set {
			event := o.(*corev1.Event)
			return fields.Set{"involvedObject.kind": event.InvolvedObject.Kind, "involvedObject.name": event.InvolvedObject.Name,
				"involvedObject.namespace": event.InvolvedObject.Namespace, "involvedObject.uid": string(event.InvolvedObject.UID),
				"reason": event.Reason, "type": event.Type}
		},
	},
	{
		version: discoveryv1.SchemeGroupVersion, kind: "EndpointSlice", resource: "endpointslices", singular: "endpointslice",
		namespaced: true, validName: validation.NameIsDNSSubdomain, generation: true,
		newObject: func() runtime.Object { return &discoveryv1.EndpointSlice{} },
		newList:   func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
	},
	{
		version: networkingv1.SchemeGroupVersion, kind: "NetworkPolicy", resource: "networkpolicies", singular: "networkpolicy",
		short: []string{"netpol"}, namespaced: true, validName: validation.NameIsDNSSubdomain, generation: true,
		newObject: func() runtime.Object { return &networkingv1.NetworkPolicy{} },
		newList:   func() runtime.Object { return &networkingv1.NetworkPolicyList{} },
	},
}

func podFields(o runtime.Object) fields.Set {
	pod := o.(*corev1.Pod)
	return fields.Set{"spec.nodeName": pod.Spec.NodeName, "spec.hostNetwork": strconv.FormatBool(pod.Spec.HostNetwork),
		"spec.restartPolicy": string(pod.Spec.RestartPolicy), "spec.schedulerName": pod.Spec.SchedulerName,
		"spec.serviceAccountName": pod.Spec.ServiceAccountName, "status.phase": string(pod.Status.Phase),
		"status.podIP": pod.Status.PodIP, "status.nominatedNodeName": pod.Status.NominatedNodeName}
}

func (k *kind) groupResource() schema.GroupResource {
	return k.version.WithResource(k.resource).GroupResource()
}

// fields are what field selectors of a kind can ask for, with the values of one object.
func (k *kind) fields(object runtime.Object) fields.Set {
	set := fields.Set{}
	if k.moreFields != nil {
		set = k.moreFields(object)
	}
	if accessor, err := meta.Accessor(object); err == nil {
		set["metadata.name"] = accessor.GetName()
		if k.namespaced {
			set["metadata.namespace"] = accessor.GetNamespace()
		}
	}
	return set
}

// part is the field Spec or Status of an object of the API; they all call them so.
func part(object runtime.Object, name string) reflect.Value {
	return reflect.ValueOf(object).Elem().FieldByName(name)
}

// keepPart undoes a change of the field.
func keepPart(object, old runtime.Object, name string) {
	if field := part(object, name); field.IsValid() {
		field.Set(part(old, name))
	}
}
