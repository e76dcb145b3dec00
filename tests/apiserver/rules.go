// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"sigs.k8s.io/yaml"
)

// subject is a user or a group of the rules file.
type subject struct {
	Groups []string            `json:"groups,omitempty"`
	Rules  []rbacv1.PolicyRule `json:"rules,omitempty"`
}

// permissions is the rules file.
type permissions struct {
	Users  map[string]subject `json:"users,omitempty"`
	Groups map[string]subject `json:"groups,omitempty"`
}

// What the cluster roles system:discovery and system:public-info-viewer let everyone do who is known.
var discoveryRule = rbacv1.PolicyRule{
	Verbs: []string{"get"},
	NonResourceURLs: []string{"/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/", "/healthz",
		"/livez", "/livez/*", "/readyz", "/readyz/*"},
}

func readPermissions(path string) (*permissions, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &permissions{}
	if err := yaml.UnmarshalStrict(text, p); err != nil {
		return nil, err
	}
	for name, group := range p.Groups {
		if len(group.Groups) > 0 {
			return nil, fmt.Errorf("groups.%s: groups of groups are not supported", name)
		}
	}
	return p, nil
}

func newAuthorizer(rulesFile string) (authorizer.Authorizer, error) {
	rules, err := newWatched(rulesFile, readPermissions)
	if err != nil {
		return nil, err
	}
	return authorizer.AuthorizerFunc(func(_ context.Context, request authorizer.Attributes) (authorizer.Decision, string, error) {
		if rules.get().allow(request) {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	}), nil
}

func (p *permissions) allow(request authorizer.Attributes) bool {
	who := request.GetUser()
	if who == nil {
		return false
	}
	self := p.Users[who.GetName()]
	groups := slices.Concat(who.GetGroups(), self.Groups)
	if slices.Contains(groups, user.SystemPrivilegedGroup) || slices.ContainsFunc(self.Rules, covers(request)) {
		return true
	}
	if slices.Contains(groups, user.AllAuthenticated) && covers(request)(discoveryRule) {
		return true
	}
	return slices.ContainsFunc(groups, func(group string) bool {
		return slices.ContainsFunc(p.Groups[group].Rules, covers(request))
	})
}

// covers: whether a rule allows the request. Source: pkg/apis/rbac/v1/evaluation_helpers.go of Kubernetes.
func covers(request authorizer.Attributes) func(rbacv1.PolicyRule) bool {
	return func(rule rbacv1.PolicyRule) bool {
		if !listed(rule.Verbs, request.GetVerb()) {
			return false
		}
		if !request.IsResourceRequest() {
			return slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool {
				prefix, open := strings.CutSuffix(url, "*")
				return url == request.GetPath() || (open && strings.HasPrefix(request.GetPath(), prefix))
			})
		}
		resource := request.GetResource()
		if sub := request.GetSubresource(); sub != "" {
			resource += "/" + sub
			if slices.Contains(rule.Resources, "*/"+sub) {
				resource = "*/" + sub
			}
		}
		return listed(rule.APIGroups, request.GetAPIGroup()) && listed(rule.Resources, resource) &&
			(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, request.GetName()))
	}
}

func listed(list []string, name string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, name)
}
