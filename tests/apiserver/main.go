// SPDX-License-Identifier: Apache-2.0

// A Kubernetes API server for tests, made of the libraries that kube-apiserver is made of. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"
)

// errUsage marks a wrong command line: exit code 2.
var errUsage = errors.New("wrong command line")

type command struct {
	name, about string
	run         func(ctx context.Context, args []string) error
}

var commands = []command{
	{"etcd", "run etcd", runEtcd},
	{"serve", "run the API server", runServe},
	{"compact", "compact etcd", runCompact},
	{"load", "write pods, nodes, namespaces and policies straight into etcd", runLoad},
	{"version", "print versions", runVersion},
}

func main() {
	// The library notes every ignored trifle at level 0; only warnings and worse are of use in a test's log.
	logs := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(logs)
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "WARNING", "legacy_stderr_threshold_behavior": "false"} {
		utilruntime.Must(logs.Set(name, value))
	}
	klog.SetOutput(discard{})
	if len(os.Args) < 2 {
		usage()
		os.Exit(2)
	}
	for _, c := range commands {
		if c.name != os.Args[1] {
			continue
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		err := c.run(ctx, os.Args[2:])
		stop()
		switch {
		case err == nil || errors.Is(err, flag.ErrHelp):
			return
		case errors.Is(err, errUsage):
			fmt.Fprintf(os.Stderr, "apiserver %s: %v\n", c.name, err)
			os.Exit(2)
		default:
			fmt.Fprintf(os.Stderr, "apiserver %s: %v\n", c.name, err)
			os.Exit(1)
		}
	}
	fmt.Fprintf(os.Stderr, "apiserver: no command %q\n", os.Args[1])
	usage()
	os.Exit(2)
}

func usage() {
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  apiserver %-8s %s (--help lists its flags)\n", c.name, c.about)
	}
}

// parse reads the flags of a command; there are no other arguments.
func parse(flags *flag.FlagSet, args []string, required ...string) error {
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: unexpected %q", errUsage, flags.Arg(0))
	}
	for _, name := range required {
		if flags.Lookup(name).Value.String() == "" {
			return fmt.Errorf("%w: --%s is missing", errUsage, name)
		}
	}
	return nil
}

func runVersion(_ context.Context, args []string) error {
	if err := parse(flag.NewFlagSet("version", flag.ContinueOnError), args); err != nil {
		return err
	}
	fmt.Printf("Kubernetes %s\n", version.Get().GitVersion)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "go.etcd.io/etcd/server/v3" {
				fmt.Printf("etcd %s\n", module.Version)
			}
		}
	}
	return nil
}

// discard takes klog's lines below the threshold of stderr.
type discard struct{}

func (discard) Write(line []byte) (int, error) { return len(line), nil }
