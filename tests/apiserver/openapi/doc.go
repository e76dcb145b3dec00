// SPDX-License-Identifier: Apache-2.0

// Package openapi holds the OpenAPI definitions of the published Kubernetes types, which the server cannot do without: it
// merges server-side apply by them. They are a megabyte, generated into the build directory and put in by -overlay (see
// ../build) from these packages:
//
//	k8s.io/api/core/v1
//	k8s.io/api/discovery/v1
//	k8s.io/api/networking/v1
//	k8s.io/apimachinery/pkg/api/resource
//	k8s.io/apimachinery/pkg/apis/meta/v1
//	k8s.io/apimachinery/pkg/runtime
//	k8s.io/apimachinery/pkg/util/intstr
//	k8s.io/apimachinery/pkg/version
package openapi
