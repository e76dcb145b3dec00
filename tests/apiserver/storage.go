// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// strategy is what happens to an object of a kind on its way into the store.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	*kind
}

func (s strategy) NamespaceScoped() bool                                            { return s.namespaced }
func (s strategy) AllowCreateOnUpdate(context.Context) bool                         { return false }
func (s strategy) AllowUnconditionalUpdate(context.Context) bool                    { return true }
func (s strategy) Canonicalize(runtime.Object)                                      {}
func (s strategy) WarningsOnCreate(context.Context, runtime.Object) []string        { return nil }
func (s strategy) WarningsOnUpdate(_ context.Context, _, _ runtime.Object) []string { return nil }

func (s strategy) PrepareForCreate(_ context.Context, object runtime.Object) {
	if s.status && !s.statusOfCreation {
		part(object, "Status").SetZero()
	}
	if s.create != nil {
		s.create(object)
	}
	// Once more: a generated name, and the status that was removed.
	scheme.Default(object)
	if accessor, err := meta.Accessor(object); err == nil && s.generation {
		accessor.SetGeneration(1)
	}
}

func (s strategy) PrepareForUpdate(_ context.Context, object, old runtime.Object) {
	if s.status {
		keepPart(object, old, "Status")
	}
	s.countChange(object, old)
}

// countChange sets metadata.generation, which clients must not.
func (s strategy) countChange(object, old runtime.Object) {
	now, err := meta.Accessor(object)
	if err != nil {
		return
	}
	before, err := meta.Accessor(old)
	if err != nil {
		return
	}
	now.SetGeneration(before.GetGeneration())
	spec, oldSpec := part(object, "Spec"), part(old, "Spec")
	// An EndpointSlice has none: all of it is the specification.
	if !spec.IsValid() {
		spec, oldSpec = part(object, "Endpoints"), part(old, "Endpoints")
	}
	if s.generation && !equality.Semantic.DeepEqual(spec.Interface(), oldSpec.Interface()) {
		now.SetGeneration(before.GetGeneration() + 1)
	}
}

func (s strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return field.ErrorList{field.InternalError(field.NewPath("metadata"), err)}
	}
	faults := validation.ValidateObjectMetaAccessor(accessor, s.namespaced, s.validName, field.NewPath("metadata"))
	if pod, ok := object.(*corev1.Pod); ok && len(pod.Spec.Containers) == 0 {
		faults = append(faults, field.Required(field.NewPath("spec", "containers"), ""))
	}
	return faults
}

func (s strategy) ValidateUpdate(ctx context.Context, object, old runtime.Object) field.ErrorList {
	now, err := meta.Accessor(object)
	if err != nil {
		return field.ErrorList{field.InternalError(field.NewPath("metadata"), err)}
	}
	before, err := meta.Accessor(old)
	if err != nil {
		return field.ErrorList{field.InternalError(field.NewPath("metadata"), err)}
	}
	return append(s.Validate(ctx, object), validation.ValidateObjectMetaAccessorUpdate(now, before, field.NewPath("metadata"))...)
}

func (s strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return resetFields(s.kind, "status")
}

// CheckGracefulDelete: a pod goes at once, since no kubelet would confirm its end, unless the request asks for a grace period.
func (s strategy) CheckGracefulDelete(_ context.Context, object runtime.Object, options *metav1.DeleteOptions) bool {
	return s.graceful != nil && options.GracePeriodSeconds != nil && *options.GracePeriodSeconds > 0 && s.graceful(object)
}

// statusStrategy takes the status only.
type statusStrategy struct{ strategy }

func (s statusStrategy) PrepareForUpdate(_ context.Context, object, old runtime.Object) {
	keepPart(object, old, "Spec")
	s.countChange(object, old)
}

func (s statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return resetFields(s.kind, "spec")
}

// resetFields tells server-side apply which field a request cannot own, as its strategy throws the change away.
func resetFields(k *kind, name string) map[fieldpath.APIVersion]*fieldpath.Set {
	if !k.status {
		return nil
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(k.version.String()): fieldpath.NewSet(fieldpath.MakePathOrDie(name)),
	}
}

// resourceREST adds the names that kubectl knows a resource by.
type resourceREST struct {
	*genericregistry.Store
	short []string
}

func (r resourceREST) ShortNames() []string { return r.short }

// statusREST is the subresource: a view of the same store.
type statusREST struct{ store *genericregistry.Store }

func (r statusREST) New() runtime.Object { return r.store.New() }
func (r statusREST) Destroy()            {} // the store is not its own
func (r statusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}
func (r statusREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, info, create, update, false, options)
}
func (r statusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}
func (r statusREST) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, options)
}

// newStores makes the endpoints of a kind by their paths.
func newStores(k *kind, getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
	rules := strategy{scheme, names.SimpleNameGenerator, k}
	store := &genericregistry.Store{
		NewFunc:                   k.newObject,
		NewListFunc:               k.newList,
		DefaultQualifiedResource:  k.groupResource(),
		SingularQualifiedResource: k.version.WithResource(k.singular).GroupResource(),
		CreateStrategy:            rules,
		UpdateStrategy:            rules,
		DeleteStrategy:            rules,
		ResetFieldsStrategy:       rules,
		TableConvertor:            rest.NewDefaultTableConvertor(k.groupResource()),
		ReturnDeletedObject:       k.graceful != nil,
	}
	attributes := func(object runtime.Object) (labels.Set, fields.Set, error) {
		accessor, err := meta.Accessor(object)
		if err != nil {
			return nil, nil, err
		}
		return accessor.GetLabels(), k.fields(object), nil
	}
	store.PredicateFunc = func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
		return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: attributes}
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: attributes}); err != nil {
		return nil, err
	}
	stores := map[string]rest.Storage{k.resource: resourceREST{store, k.short}}
	if k.status {
		status := *store
		status.UpdateStrategy = statusStrategy{rules}
		status.ResetFieldsStrategy = statusStrategy{rules}
		stores[k.resource+"/status"] = statusREST{&status}
	}
	return stores, nil
}
