package cli

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/spf13/pflag"

	"github.com/conch-lock/conch/cmd/conch/config"
	"github.com/conch-lock/conch/sdk"
)

const defaultEndpoint = "127.0.0.1:7654"

// globals are the flags of every command.
type globals struct {
	endpoints []string
	timeout   time.Duration
	output    string
	cacert    string
	cert, key string
	cell      string

	ran bool // a command's own code has been reached
}

func (g *globals) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&g.endpoints, "endpoints", []string{defaultEndpoint}, "client addresses of nodes, `HOST:PORT` with commas between")
	flags.DurationVar(&g.timeout, "timeout", 5*time.Second, "how long to try to reach the cluster")
	flags.StringVarP(&g.output, "output", "o", "text", "`FORMAT` of results and errors: text or json")
	flags.StringVar(&g.cacert, "cacert", "", "`FILE` of the authorities that servers must be certified by; switches TLS on")
	flags.StringVar(&g.cert, "cert", "", "certificate `FILE` to show to servers; needs --key")
	flags.StringVar(&g.key, "key", "", "key `FILE` of --cert")
	flags.StringVar(&g.cell, "cell", "default", "`NAME` of the cell")
}

// check refuses values that no command can use.
func (g *globals) check() error {
	if g.output != "text" && g.output != "json" {
		value := g.output
		g.output = "text"
		return usage("--output %q: text and json are allowed", value)
	}
	if g.timeout <= 0 {
		return usage("--timeout %v: more than 0 is allowed, like 5s", g.timeout)
	}
	if g.cell == "" {
		return usage(`--cell "": the name of a cell is not empty`)
	}
	if len(g.endpoints) == 0 {
		return usage("--endpoints: at least one HOST:PORT is needed")
	}
	for _, e := range g.endpoints {
		if err := config.CheckAddress("--endpoints", e); err != nil {
			return exitWith(exitUsage, &usageError{err.Error()})
		}
	}
	if (g.cert == "") != (g.key == "") {
		return usage("--cert %q and --key %q: both or none are allowed", g.cert, g.key)
	}
	return nil
}

// tls reads the files. nil: plain connections.
func (g *globals) tls() (*tls.Config, error) {
	if g.cacert == "" && g.cert == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if g.cacert != "" {
		pool, err := authorities(g.cacert)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	}
	if g.cert != "" {
		pair, err := tls.LoadX509KeyPair(g.cert, g.key)
		if err != nil {
			return nil, usage("--cert %s, --key %s: %v", g.cert, g.key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// connect dials the cell within --timeout.
func (a *App) connect(ctx context.Context) (cell, error) {
	secure, err := a.global.tls()
	if err != nil {
		return nil, err
	}
	return a.dial(ctx, sdk.Config{
		Endpoints: a.global.endpoints, Cell: a.global.cell, TLS: secure,
		Name: "conch " + version(), DialTimeout: a.global.timeout,
	})
}

// ask dials the cell and has f ask it something, all within --timeout.
func (a *App) ask(ctx context.Context, f func(ctx context.Context, c cell) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.global.timeout)
	defer cancel()
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(ctx, c)
}
