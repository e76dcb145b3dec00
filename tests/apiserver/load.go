// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// loadWriters is how many objects are on their way to etcd at a time. Each is a transaction of its own: of objects with the same
// resourceVersion, a watch that is resumed between them would lose some, and API servers never write such.
const loadWriters = 64

// loadOptions is a synthetic cluster; README.md has its address plan.
type loadOptions struct {
	pods, nodes, namespaces, policies, first, apps int
	namespacePrefix, nodePrefix, podPrefix         string
	dual, remove                                   bool
	generation                                     int
	created                                        metav1.Time
	nodeBits                                       int // bits of a node's IPv4 pod CIDR
}

func runLoad(ctx context.Context, args []string) error {
	// The same at each call: an object never changes its creationTimestamp.
	o := &loadOptions{created: metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	etcd := flags.String("etcd", "", "URL of etcd")
	flags.IntVar(&o.pods, "pods", 0, "number of pods")
	flags.IntVar(&o.nodes, "nodes", 0, "number of nodes")
	flags.IntVar(&o.namespaces, "namespaces", 0, "number of namespaces")
	flags.IntVar(&o.policies, "policies", 0, "number of network policies")
	flags.IntVar(&o.first, "first", 0, "number of the first pod and policy")
	flags.IntVar(&o.apps, "apps", 20, "number of values of the label app")
	flags.StringVar(&o.namespacePrefix, "namespace-prefix", "load", "")
	flags.StringVar(&o.nodePrefix, "node-prefix", "node", "")
	flags.StringVar(&o.podPrefix, "pod-prefix", "pod", "")
	flags.BoolVar(&o.dual, "dual-stack", false, "addresses of both families")
	flags.BoolVar(&o.remove, "delete", false, "delete these objects")
	flags.IntVar(&o.generation, "generation", 0, "value of the annotation load/generation")
	if err := parse(flags, args, "etcd"); err != nil {
		return err
	}
	if o.nodes < 1 || o.namespaces < 1 || o.apps < 1 || o.pods < 0 || o.policies < 0 || o.first < 0 {
		return fmt.Errorf("%w: --nodes, --namespaces and --apps are at least 1, nothing is negative", errUsage)
	}
	// Addresses of a node: network and gateway, then its pods.
	for o.nodeBits = 8; 1<<o.nodeBits < 2+(o.first+o.pods+o.nodes-1)/o.nodes; o.nodeBits++ {
	}
	if o.nodes > 1<<(24-o.nodeBits) || o.nodes > 1<<20-2 {
		return fmt.Errorf("%w: 10.0.0.0/8 has no room for %d nodes with 2^%d addresses each", errUsage, o.nodes, o.nodeBits)
	}
	client, err := dialEtcd(ctx, *etcd)
	if err != nil {
		return err
	}
	defer client.Close()
	began := time.Now()
	written, err := o.write(ctx, client)
	if err != nil {
		return err
	}
	verb := "wrote"
	if o.remove {
		verb = "deleted"
	}
	fmt.Printf("%s %d objects in %.1f s\n", verb, written, time.Since(began).Seconds())
	return nil
}

// loadSet is a number of objects of one resource.
type loadSet struct {
	resource    string
	first, size int
	make        func(number int) metav1.Object
}

func (o *loadOptions) write(ctx context.Context, client *clientv3.Client) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	operations := make(chan clientv3.Op, loadWriters)
	var written atomic.Int64
	var writers sync.WaitGroup
	for range loadWriters {
		writers.Go(func() {
			for operation := range operations {
				if _, err := client.Do(ctx, operation); err != nil {
					cancel(fmt.Errorf("etcd: %w", err))
					continue
				}
				written.Add(1)
			}
		})
	}
	err := o.operations(ctx, operations)
	close(operations)
	writers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return written.Load(), err
}

// operations encodes all objects: what others refer to comes first.
func (o *loadOptions) operations(ctx context.Context, out chan<- clientv3.Op) error {
	info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	sets := []loadSet{
		{"namespaces", 0, o.namespaces, func(n int) metav1.Object { return o.namespace(n) }},
		{"nodes", 0, o.nodes, func(n int) metav1.Object { return o.node(n) }},
		{"networkpolicies", o.first, o.policies, func(n int) metav1.Object { return o.policy(n) }},
		{"pods", o.first, o.pods, func(n int) metav1.Object { return o.pod(n) }},
	}
	for _, set := range sets {
		version := corev1.SchemeGroupVersion
		if set.resource == "networkpolicies" {
			version = networkingv1.SchemeGroupVersion
		}
		encoder := codecs.EncoderForVersion(info.Serializer, version)
		for number := set.first; number < set.first+set.size; number++ {
			object := set.make(number)
			key := etcdPrefix + "/" + set.resource + "/"
			if namespace := object.GetNamespace(); namespace != "" {
				key += namespace + "/"
			}
			key += object.GetName()
			operation := clientv3.OpDelete(key)
			if !o.remove {
				value, err := runtime.Encode(encoder, object.(runtime.Object))
				if err != nil {
					return fmt.Errorf("%s: %w", key, err)
				}
				operation = clientv3.OpPut(key, string(value))
			}
			select {
			case out <- operation:
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}
