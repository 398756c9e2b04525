package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/conch-lock/conch/cmd/conch/config"
)

func (a *App) serveCommand() *cobra.Command {
	s := config.Serve{}
	cluster, file := "", ""
	c := &cobra.Command{
		Use: "serve", Short: "Run one node of a cluster",
		Long: `Serve runs one node until it gets SIGINT or SIGTERM: it then hands leadership over and
stops. It prints "ready CLIENT-ADDRESS" on standard output once it serves. Logs are on
standard error.

With --cert, --key and --cacert both ports use TLS: nodes show their certificate to
each other, clients need none.

Settings come from flags, else from the environment, else from the TOML file of
--config, whose keys are the names of these flags.`,
		Example: `  conch serve --name n1 --data-dir /var/lib/conch \
    --listen-client 10.0.0.1:7654 --listen-peer 10.0.0.1:7754 \
    --initial-cluster n1=10.0.0.1:7754,n2=10.0.0.2:7754,n3=10.0.0.3:7754
  conch serve --config /etc/conch.toml`,
		Args: exactly(),
	}
	f := c.Flags()
	f.StringVar(&s.Name, config.KeyName, "", "this node's `NAME`, one of --initial-cluster")
	f.StringVar(&s.Cluster, config.KeyCluster, "conch", "`NAME` of the cluster, the same on all nodes: those of another one are refused, and so is their data")
	f.StringVar(&s.DataDir, config.KeyDataDir, "", "folder `DIR` of this node's data, its alone")
	f.StringVar(&s.ListenClient, config.KeyListenClient, defaultEndpoint, "`HOST:PORT` to listen on for clients")
	f.StringVar(&s.ListenPeer, config.KeyListenPeer, "127.0.0.1:7754", "`HOST:PORT` to listen on for other nodes")
	f.StringVar(&s.AdvertiseClient, config.KeyAdvertiseClient, "", "`HOST:PORT` that clients are told (default: --listen-client)")
	f.StringVar(&cluster, config.KeyInitialCluster, "", "all nodes with their peer addresses, `NAME=HOST:PORT` with commas between")
	f.BoolVar(&s.Join, config.KeyJoin, false, "this node was added to a cluster that runs already")
	f.StringVar(&s.LogLevel, config.KeyLogLevel, "info", "`LEVEL`: debug, info, warn or error")
	f.StringVar(&s.LogFormat, config.KeyLogFormat, "json", "`FORMAT` of logs: json or text")
	f.StringVar(&file, "config", "", "TOML `FILE` with the same names")
	c.RunE = a.action(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		err := a.fromFile(cmd, file)
		if err == nil && cluster != "" {
			s.InitialCluster, err = config.ParseCluster(cluster)
		}
		if err == nil {
			err = s.Check()
		}
		if err != nil {
			return a.named(err, cmd, file)
		}
		return a.serve(ctx, s)
	})
	return c
}

// fromFile gives flags of serve that nothing else has set the file's value.
func (a *App) fromFile(cmd *cobra.Command, file string) error {
	if file == "" {
		return nil
	}
	values, err := config.File(file, settings(cmd))
	if err != nil {
		return exitWith(exitUsage, &usageError{err.Error()})
	}
	for _, name := range settings(cmd) {
		value, ok := values[name]
		if !ok || cmd.Flags().Changed(name) {
			continue
		}
		f := cmd.Flags().Lookup(name)
		if err := f.Value.Set(value); err != nil { // not through Flags().Set: it would look like a flag
			return usage("configuration file %s: %s: %q: %v", file, name, value, err)
		}
		f.Annotations = map[string][]string{sourceAnnotation: {file}}
	}
	return nil
}

// sourceAnnotation marks a flag whose value is from the configuration file.
const sourceAnnotation = "conch.source"

// settings are the names that a configuration file may have.
func settings(cmd *cobra.Command) []string {
	var out []string
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" && f.Name != "help" {
			out = append(out, f.Name)
		}
	})
	return append(out, "cacert", "cert", "key")
}

// named adds to the refusal of a setting where its value came from.
func (a *App) named(err error, cmd *cobra.Command, file string) error {
	var e *config.Error
	if !errors.As(err, &e) {
		return err
	}
	f := cmd.Flags().Lookup(e.Key)
	e.Source = "--" + e.Key
	switch {
	case f == nil:
		return err
	case f.Annotations[sourceAnnotation] != nil:
		e.Source = fmt.Sprintf("configuration file %s: %s", file, e.Key)
	case a.givenBy[e.Key]:
		e.Source = envOf(f)
	}
	return exitWith(exitUsage, &usageError{e.Error()})
}

// deferGC has less garbage collected until the function that it returns is
// called: while a state is restored nearly all that is allocated stays, and
// looking through it at each doubling takes as long as the restoring itself. A
// limit of memory in the environment still holds.
func deferGC() (calm func()) {
	before := debug.SetGCPercent(-1)
	debug.SetGCPercent(max(before, 400))
	if before < 0 { // switched off: it stays so
		debug.SetGCPercent(before)
	}
	return func() { debug.SetGCPercent(before) }
}

// serve runs one node until it is told to stop.
func (a *App) serve(ctx context.Context, s config.Serve) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := a.global.onlyDefaultCell(); err != nil {
		return err
	}
	secure, err := a.global.serverTLS()
	if err != nil {
		return err
	}
	log := a.logTo(s.LogFormat)
	a.Err = &lastWords{a.Err} // a node ends even when nobody reads what it has to say
	calm := deferGC()
	n, err := a.start(nodeSpec{Serve: s, secure: secure, log: log})
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	select {
	case <-n.Ready():
		calm()
		if err := a.results().Ready([]string{n.ClientAddress()}); err != nil {
			return errors.Join(err, stopInOrder(n))
		}
	case <-n.Done():
	case <-ctx.Done():
	}
	select {
	case <-n.Done():
		return fmt.Errorf("serve: the node ended: %w", n.Err())
	case <-ctx.Done():
	}
	stop() // a second signal ends the process at once
	return stopInOrder(n)
}
