// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	crdoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/tools/cache"
)

// newCustomServer serves CustomResourceDefinitions and what they define. It gets copies: it changes what it is given.
func newCustomServer(cfg genericapiserver.Config, etcd genericoptions.EtcdOptions) (*apiextensions.CustomResourceDefinitions, error) {
	cfg.PostStartHooks = map[string]genericapiserver.PostStartHookConfigEntry{}
	cfg.RESTOptionsGetter = nil
	cfg.Serializer = apiextensions.Codecs
	cfg.MergedResourceConfig = apiextensions.DefaultAPIResourceConfigSource()
	// Its own loopback checks exist once already.
	etcd.SkipHealthEndpoints = true
	etcd.StorageConfig.Codec = apiextensions.Codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion)
	etcd.StorageConfig.EncodeVersioner = apiextensionsv1.SchemeGroupVersion
	if err := etcd.ApplyTo(&cfg); err != nil {
		return nil, err
	}
	custom := &apiextensions.Config{
		GenericConfig: &genericapiserver.RecommendedConfig{Config: cfg},
		ExtraConfig: apiextensions.ExtraConfig{
			CRDRESTOptionsGetter: crdoptions.NewCRDRESTOptionsGetter(etcd, nil, cfg.StorageObjectCountTracker),
			MasterCount:          1,
			AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, cfg.LoopbackClientConfig, nil),
		},
	}
	return custom.Complete().New(genericapiserver.NewEmptyDelegate())
}

// addCustomGroups keeps the groups of CustomResourceDefinitions in the plain list at /apis: in a cluster that is the
// aggregator's work.
func addCustomGroups(server *genericapiserver.GenericAPIServer, custom *apiextensions.CustomResourceDefinitions) error {
	server.DiscoveryGroupManager.AddGroup(apiGroup(apiextensionsv1.GroupName, []string{"v1"}))
	definitions := custom.Informers.Apiextensions().V1().CustomResourceDefinitions()
	refresh := func(changed any) {
		if gone, ok := changed.(cache.DeletedFinalStateUnknown); ok {
			changed = gone.Obj
		}
		definition, ok := changed.(*apiextensionsv1.CustomResourceDefinition)
		if !ok {
			return
		}
		all, err := definitions.Lister().List(labels.Everything())
		if err != nil {
			return
		}
		var versions []string
		for _, other := range all {
			if other.Spec.Group != definition.Spec.Group {
				continue
			}
			for _, version := range other.Spec.Versions {
				if version.Served && !slices.Contains(versions, version.Name) {
					versions = append(versions, version.Name)
				}
			}
		}
		server.DiscoveryGroupManager.RemoveGroup(definition.Spec.Group)
		if len(versions) > 0 {
			server.DiscoveryGroupManager.AddGroup(apiGroup(definition.Spec.Group, versions))
		}
	}
	_, err := definitions.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: refresh, UpdateFunc: func(_, changed any) { refresh(changed) }, DeleteFunc: refresh})
	return err
}

func apiGroup(name string, versions []string) metav1.APIGroup {
	slices.Sort(versions)
	group := metav1.APIGroup{Name: name}
	for _, version := range versions {
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + version, Version: version})
	}
	group.PreferredVersion = group.Versions[len(group.Versions)-1]
	return group
}
