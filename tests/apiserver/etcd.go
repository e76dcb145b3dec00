// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// compactRevKey is where API servers agree on compactions; a server learns from it, only, what it must not answer any more.
// Source: k8s.io/apiserver/pkg/storage/etcd3/compact.go.
const compactRevKey = "compact_rev_key"

// Bounds of one request to etcd: its defaults, which API servers live with as well.
const (
	maxEtcdRequest = 1536 * 1024
	etcdQuota      = 8 << 30
)

func runEtcd(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	data := flags.String("data", "", "directory of the data; is created")
	listen := flags.String("listen", "", "ADDR:PORT of the client endpoint, plain HTTP")
	fsync := flags.Bool("fsync", false, "survive a power cut, too")
	if err := parse(flags, args, "data", "listen"); err != nil {
		return err
	}
	// The peer endpoint is a unix socket, whose path must be short: relative to the data.
	if err := os.MkdirAll(*data, 0o700); err != nil {
		return err
	}
	if err := os.Chdir(*data); err != nil {
		return err
	}
	if err := os.Remove("peer.sock"); err != nil && !os.IsNotExist(err) {
		return err
	}
	client := url.URL{Scheme: "http", Host: *listen}
	peer := url.URL{Scheme: "unix", Host: "peer.sock"}
	cfg := embed.NewConfig()
	cfg.Dir = "."
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.LogLevel = "warn"
	cfg.LogOutputs = []string{"stderr"}
	cfg.UnsafeNoFsync = !*fsync
	cfg.QuotaBackendBytes = etcdQuota
	cfg.MaxRequestBytes = maxEtcdRequest
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
		fmt.Printf("etcd: ready on %s\n", client.String())
	case err := <-server.Err():
		return err
	case <-ctx.Done():
		return nil
	}
	select {
	case err := <-server.Err():
		return err
	case <-ctx.Done():
		return nil
	}
}

// dialEtcd connects to the etcd at address and fails when nothing answers there. The caller closes the client.
func dialEtcd(ctx context.Context, address string) (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:          []string{address},
		DialTimeout:        5 * time.Second,
		MaxCallSendMsgSize: 2 * maxEtcdRequest,
		Logger:             zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("etcd %s: %w", address, err)
	}
	probe, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := client.Get(probe, compactRevKey); err != nil {
		client.Close()
		return nil, fmt.Errorf("etcd %s: %w", address, err)
	}
	return client, nil
}

func runCompact(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("compact", flag.ContinueOnError)
	address := flags.String("etcd", "", "URL of etcd")
	revision := flags.Int64("revision", 0, "compact at this revision; 0: the newest")
	if err := parse(flags, args, "etcd"); err != nil {
		return err
	}
	client, err := dialEtcd(ctx, *address)
	if err != nil {
		return err
	}
	defer client.Close()
	now, err := client.Get(ctx, compactRevKey)
	if err != nil {
		return err
	}
	at := *revision
	if at == 0 {
		at = now.Header.Revision
	}
	if at < 1 || at > now.Header.Revision {
		return fmt.Errorf("revision %d is not in 1 … %d", at, now.Header.Revision)
	}
	if _, err := client.Put(ctx, compactRevKey, strconv.FormatInt(at, 10)); err != nil {
		return err
	}
	if _, err := client.Compact(ctx, at, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("revision %d: %w", at, err)
	}
	fmt.Printf("compacted at %d\n", at)
	return nil
}
