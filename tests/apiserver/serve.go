// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	restclient "k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	crdopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/kube-openapi/pkg/common"

	"netpold.example/apiserver/openapi"
)

// etcdPrefix starts all keys, as in kube-apiserver.
const etcdPrefix = "/registry"

// readyTime is how long a start may take: 100,000 pods are read in a few seconds.
const readyTime = 2 * time.Minute

type serveOptions struct {
	etcd, listen, certFile, keyFile, clientCAFile, tokenFile, rulesFile, requestLog, pidFile string
	guests, watchCache, watchList, http2                                                     bool
	maxInflight, minRequestTimeout, shutdownDelay                                            int
	goawayChance                                                                             float64
}

func runServe(ctx context.Context, args []string) error {
	o := &serveOptions{}
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.StringVar(&o.etcd, "etcd", "", "URL of etcd")
	flags.StringVar(&o.listen, "listen", "", "ADDR:PORT[,ADDR:PORT...]")
	flags.StringVar(&o.certFile, "cert-file", "", "serving certificate, PEM")
	flags.StringVar(&o.keyFile, "key-file", "", "its key, PEM")
	flags.StringVar(&o.clientCAFile, "client-ca-file", "", "CA of client certificates, PEM")
	flags.StringVar(&o.tokenFile, "token-file", "", "tokens, CSV")
	flags.StringVar(&o.rulesFile, "rules-file", "", "permissions, YAML")
	flags.StringVar(&o.requestLog, "request-log", "", "append JSON lines about requests to this file")
	flags.StringVar(&o.pidFile, "pid-file", "", "write the process id here when ready")
	flags.BoolVar(&o.guests, "anonymous-auth", false, "requests without credentials are system:anonymous")
	flags.BoolVar(&o.watchCache, "watch-cache", true, "answer lists and watches from memory")
	flags.BoolVar(&o.watchList, "watch-list", true, "offer WatchList")
	flags.BoolVar(&o.http2, "http2", true, "offer HTTP/2")
	flags.IntVar(&o.maxInflight, "max-requests-inflight", 400, "more reads at a time are 429; 0: no bound")
	flags.IntVar(&o.minRequestTimeout, "min-request-timeout", 1800, "least seconds of a watch")
	flags.IntVar(&o.shutdownDelay, "shutdown-delay", 0, "seconds between SIGTERM and the end")
	flags.Float64Var(&o.goawayChance, "goaway-chance", 0, "part of HTTP/2 requests answered with GOAWAY, at most 0.02")
	err := parse(flags, args, "etcd", "listen", "cert-file", "key-file", "client-ca-file", "token-file", "rules-file")
	if err != nil {
		return err
	}
	if o.goawayChance < 0 || o.goawayChance > 0.02 {
		return fmt.Errorf("%w: --goaway-chance %v is not in 0 … 0.02", errUsage, o.goawayChance)
	}
	if o.maxInflight < 0 || o.minRequestTimeout < 1 || o.shutdownDelay < 0 {
		return fmt.Errorf("%w: --max-requests-inflight, --min-request-timeout or --shutdown-delay is too small", errUsage)
	}
	return o.run(ctx)
}

func (o *serveOptions) run(ctx context.Context) error {
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(map[string]bool{string(features.WatchList): o.watchList}); err != nil {
		return err
	}
	// The library waits for etcd for minutes; a wrong URL should show at once.
	client, err := dialEtcd(ctx, o.etcd)
	if err != nil {
		return err
	}
	client.Close()
	listener, err := listenAll(o.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	cfg, err := o.config(listener)
	if err != nil {
		return err
	}
	server, err := o.server(cfg)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		if err := waitReady(running, cfg.LoopbackClientConfig); err != nil {
			failed <- err
			stop()
			return
		}
		if o.pidFile != "" {
			if err := os.WriteFile(o.pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
				klog.Errorf("pid file: %v", err)
			}
		}
		fmt.Printf("apiserver: ready on %s\n", listener)
	}()
	err = server.PrepareRun().RunWithContext(running)
	if o.pidFile != "" {
		os.Remove(o.pidFile)
	}
	select {
	case early := <-failed:
		return errors.Join(early, err)
	default:
		return err
	}
}

// config is what the server and the server of CRDs share.
func (o *serveOptions) config(listener *mergedListener) (*genericapiserver.Config, error) {
	cfg := genericapiserver.NewConfig(codecs)
	cfg.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	cfg.FeatureGate = utilfeature.DefaultFeatureGate
	cfg.AdmissionControl = admission.NewChainHandler()
	cfg.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")
	cfg.GoawayChance = o.goawayChance
	cfg.MinRequestTimeout = o.minRequestTimeout
	cfg.MaxRequestsInFlight = o.maxInflight
	if o.maxInflight == 0 {
		cfg.MaxMutatingRequestsInFlight = 0
	}
	cfg.ShutdownDelayDuration = time.Duration(o.shutdownDelay) * time.Second
	cfg.ShutdownWatchTerminationGracePeriod = 5 * time.Second
	cfg.StorageInitializationTimeout = readyTime
	cfg.MergedResourceConfig = serverstorage.NewResourceConfig()

	names := openapinamer.NewDefinitionNamer(scheme, apiextensions.Scheme)
	cfg.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, names)
	cfg.OpenAPIConfig.Info.Title = "Kubernetes"
	cfg.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, names)
	cfg.OpenAPIV3Config.Info.Title = "Kubernetes"

	serving := genericoptions.NewSecureServingOptions()
	serving.Listener = listener
	serving.DisableHTTP2Serving = !o.http2
	serving.ServerCert.CertKey = genericoptions.CertKey{CertFile: o.certFile, KeyFile: o.keyFile}
	if err := serving.WithLoopback().ApplyToConfig(cfg); err != nil {
		return nil, err
	}
	clientCA, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", o.clientCAFile)
	if err != nil {
		return nil, err
	}
	if err := cfg.Authentication.ApplyClientCert(clientCA, cfg.SecureServing); err != nil {
		return nil, err
	}
	if cfg.Authentication.Authenticator, err = newAuthenticator(clientCA.VerifyOptions, o.tokenFile, o.guests); err != nil {
		return nil, fmt.Errorf("%s: %w", o.tokenFile, err)
	}
	if cfg.Authorization.Authorizer, err = newAuthorizer(o.rulesFile); err != nil {
		return nil, fmt.Errorf("%s: %w", o.rulesFile, err)
	}
	cfg.RuleResolver = noRules{}
	if o.requestLog == "" {
		return cfg, nil
	}
	log, err := newRequestLog(o.requestLog, func() request.RequestInfoResolver { return cfg.RequestInfoResolver })
	if err != nil {
		return nil, err
	}
	cfg.RequestInfoResolver = genericapiserver.NewRequestInfoResolver(cfg)
	cfg.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		// By now the library has added its own authenticator of loopback requests.
		c.Authentication.Authenticator = named(c.Authentication.Authenticator)
		return log.wrap(genericapiserver.DefaultBuildHandlerChain(handler, c))
	}
	return cfg, nil
}

// noRules: nobody asks for the rules of a user here, but the library wants to know whom it would ask.
type noRules struct{}

func (noRules) RulesFor(context.Context, user.Info, string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return nil, nil, true, nil
}

// definitions are those of the API's types and of CustomResourceDefinition.
func definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := crdopenapi.GetOpenAPIDefinitions(ref)
	for name, definition := range openapi.GetOpenAPIDefinitions(ref) {
		all[name] = definition
	}
	return all
}

func (o *serveOptions) server(cfg *genericapiserver.Config) (*genericapiserver.GenericAPIServer, error) {
	backend := storagebackend.NewDefaultConfig(etcdPrefix, nil)
	backend.Transport.ServerList = []string{o.etcd}
	// Compaction is the test's choice (apiserver compact).
	backend.CompactionInterval = 0
	backend.StorageObjectCountTracker = cfg.StorageObjectCountTracker
	etcd := genericoptions.NewEtcdOptions(backend)
	etcd.EnableWatchCache = o.watchCache

	custom, err := newCustomServer(*cfg, *etcd)
	if err != nil {
		return nil, err
	}
	factory := serverstorage.NewDefaultStorageFactory(*backend, runtime.ContentTypeProtobuf, codecs,
		serverstorage.NewDefaultResourceEncodingConfig(scheme), cfg.MergedResourceConfig, nil)
	if err := etcd.ApplyWithStorageFactoryTo(factory, cfg); err != nil {
		return nil, err
	}
	server, err := cfg.Complete(nil).New("apiserver", custom.GenericAPIServer)
	if err != nil {
		return nil, err
	}
	if err := server.AddPostStartHook("storage-readiness", server.StorageReadinessHook.Hook); err != nil {
		return nil, err
	}
	if err := addCustomGroups(server, custom); err != nil {
		return nil, err
	}
	groups := map[schema.GroupVersion]*genericapiserver.APIGroupInfo{}
	var order []schema.GroupVersion
	for _, k := range kinds {
		info, known := groups[k.version]
		if !known {
			made := genericapiserver.NewDefaultAPIGroupInfo(k.version.Group, scheme, runtime.NewParameterCodec(scheme), codecs)
			info, order = &made, append(order, k.version)
			info.VersionedResourcesStorageMap["v1"] = map[string]rest.Storage{}
			groups[k.version] = info
		}
		stores, err := newStores(k, cfg.RESTOptionsGetter)
		if err != nil {
			return nil, err
		}
		for path, store := range stores {
			info.VersionedResourcesStorageMap["v1"][path] = store
		}
	}
	for _, version := range order {
		install := server.InstallAPIGroup
		if version.Group == "" {
			install = func(info *genericapiserver.APIGroupInfo) error {
				return server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, info)
			}
		}
		if err := install(groups[version]); err != nil {
			return nil, err
		}
	}
	return server, nil
}

// waitReady waits until the server calls itself ready.
func waitReady(ctx context.Context, loopback *restclient.Config) error {
	cfg := restclient.CopyConfig(loopback)
	cfg.GroupVersion, cfg.NegotiatedSerializer = &schema.GroupVersion{Version: "v1"}, codecs
	client, err := restclient.RESTClientFor(cfg)
	if err != nil {
		return err
	}
	last := error(nil)
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTime, true, func(ctx context.Context) (bool, error) {
		last = client.Get().AbsPath("/readyz").Do(ctx).Error()
		return last == nil, nil
	})
	if ctx.Err() != nil {
		return nil // stopped before it was ready
	}
	if err != nil {
		return fmt.Errorf("not ready after %v: %w", readyTime, last)
	}
	return nil
}
