// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
	"k8s.io/klog/v2"
)

// requestLog writes a line at the start and one at the end of each request.
type requestLog struct {
	file    *os.File
	resolve func() request.RequestInfoResolver
	mutex   sync.Mutex
	last    atomic.Int64
}

// requestEntry is a line of the log; README.md describes it. Credentials are not in it.
type requestEntry struct {
	Event           string            `json:"event"`
	ID              int64             `json:"id"`
	Time            string            `json:"time"`
	Remote          string            `json:"remote"`
	Proto           string            `json:"proto"`
	User            string            `json:"user"`
	UserAgent       string            `json:"user_agent"`
	Verb            string            `json:"verb"`
	Method          string            `json:"method"`
	Path            string            `json:"path"`
	Query           map[string]string `json:"query"`
	Group           string            `json:"group"`
	Resource        string            `json:"resource"`
	Subresource     string            `json:"subresource"`
	Namespace       string            `json:"namespace"`
	Name            string            `json:"name"`
	Accept          string            `json:"accept"`
	AcceptEncoding  string            `json:"accept_encoding"`
	Status          int               `json:"status,omitempty"`
	Bytes           *int64            `json:"bytes,omitempty"`
	DurationMs      *float64          `json:"duration_ms,omitempty"`
	ContentEncoding *string           `json:"content_encoding,omitempty"`
}

// requestTrack is a request on its way. The line of its start waits for the user's name.
type requestTrack struct {
	log     *requestLog
	entry   requestEntry
	started bool
	own     bool // a request of the server to itself
}

type requestTrackKey struct{}

func newRequestLog(path string, resolve func() request.RequestInfoResolver) (*requestLog, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &requestLog{file: file, resolve: resolve}, nil
}

func (l *requestLog) write(event string, entry requestEntry) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	entry.Event, entry.Time = event, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	line, err := json.Marshal(entry)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil {
		klog.Errorf("request log: %v", err)
	}
}

func (t *requestTrack) start(name string) {
	if t.started {
		return
	}
	t.started, t.entry.User = true, name
	if t.own = name == user.APIServerUser; !t.own {
		t.log.write("start", t.entry)
	}
}

// wrap is put around all other handlers.
func (l *requestLog) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		track := &requestTrack{log: l, entry: l.describe(r)}
		count := &countingWriter{ResponseWriter: response}
		defer func() {
			track.start("")
			if track.own {
				return
			}
			entry := track.entry
			entry.Status, entry.Bytes = count.status, &count.bytes
			entry.DurationMs = pointTo(float64(time.Since(begin).Microseconds()) / 1000)
			entry.ContentEncoding = pointTo(response.Header().Get("Content-Encoding"))
			l.write("end", entry)
		}()
		ctx := context.WithValue(r.Context(), requestTrackKey{}, track)
		next.ServeHTTP(responsewriter.WrapForHTTP1Or2(count), r.WithContext(ctx))
	})
}

func (l *requestLog) describe(r *http.Request) requestEntry {
	entry := requestEntry{ID: l.last.Add(1), Remote: r.RemoteAddr, Proto: r.Proto, UserAgent: r.UserAgent(),
		Verb: strings.ToLower(r.Method), Method: r.Method, Path: r.URL.Path, Query: map[string]string{},
		Accept: r.Header.Get("Accept"), AcceptEncoding: r.Header.Get("Accept-Encoding")}
	for name, values := range r.URL.Query() {
		entry.Query[name] = strings.Join(values, ",")
	}
	if info, err := l.resolve().NewRequestInfo(r); err == nil && info.IsResourceRequest {
		entry.Verb, entry.Group, entry.Resource = info.Verb, info.APIGroup, info.Resource
		entry.Subresource, entry.Namespace, entry.Name = info.Subresource, info.Namespace, info.Name
	}
	return entry
}

// named notes who it was as soon as that is known, so that a watch shows up at its start.
func named(next authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		answer, ok, err := next.AuthenticateRequest(r)
		if track, is := r.Context().Value(requestTrackKey{}).(*requestTrack); is {
			name := ""
			if ok && err == nil {
				name = answer.User.GetName()
			}
			track.start(name)
		}
		return answer, ok, err
	})
}

// countingWriter sees status and size of the answer.
type countingWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countingWriter) WriteHeader(status int) {
	// 1xx are announcements.
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(data)
	w.bytes += int64(n)
	return n, err
}
