// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"sync"

	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/klog/v2"
)

// watched is the content of a file, looked at with each use: a change counts from the next request on. A file that cannot be
// taken leaves the last good content.
type watched[T any] struct {
	path string
	read func(path string) (T, error)

	mutex sync.Mutex
	known os.FileInfo
	value T
}

// newWatched reads the file for the first time, when a fault is an error.
func newWatched[T any](path string, read func(path string) (T, error)) (*watched[T], error) {
	w := &watched[T]{path: path, read: read}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if w.value, err = read(path); err != nil {
		return nil, err
	}
	w.known = info
	return w, nil
}

func (w *watched[T]) get() T {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	info, err := os.Stat(w.path)
	if err != nil || (os.SameFile(info, w.known) && info.ModTime().Equal(w.known.ModTime()) && info.Size() == w.known.Size()) {
		return w.value
	}
	w.known = info
	value, err := w.read(w.path)
	if err != nil {
		klog.Warningf("%s: %v; the last good content stays", w.path, err)
		return w.value
	}
	w.value = value
	return w.value
}

// newAuthenticator asks in turn: certificate, token, and with guests set lets anyone else in as system:anonymous.
func newAuthenticator(verify x509.VerifyOptionFunc, tokenFile string, guests bool) (authenticator.Request, error) {
	tokens, err := newWatched(tokenFile, tokenfile.NewCSV)
	if err != nil {
		return nil, err
	}
	byToken := authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		return tokens.get().AuthenticateToken(ctx, token)
	})
	known := group.NewAuthenticatedGroupAdder(union.New(
		x509.NewDynamic(verify, x509.CommonNameUserConversion), bearertoken.New(byToken)))
	if !guests {
		return known, nil
	}
	// A wrong token is 401, also with guests.
	return union.NewFailOnError(known, anonymous.NewAuthenticator([]apiserverconfig.AnonymousAuthCondition{})), nil
}
