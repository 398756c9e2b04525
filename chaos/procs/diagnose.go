//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/conch-lock/conch/chaos/check"
)

// diagnose writes down what can be seen of a cluster and clients that make no
// progress: what the cell tells of itself, its locks and sessions, the metrics
// of every node, and where every goroutine is. The last ends the nodes.
func (r *runner) diagnose() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	put := func(name string, v any, err error) {
		b, _ := json.MarshalIndent(v, "", " ")
		if err != nil {
			b = []byte(err.Error())
		}
		_ = os.WriteFile(filepath.Join(r.cfg.dir, "stuck-"+name), b, 0o644)
	}
	status, err := r.admin.Status(ctx)
	put("status.json", status, err)
	r.say("status: %+v %v", status, err)
	sessions, err := r.admin.Sessions(ctx)
	put("sessions.json", sessions, err)
	for i, name := range sortedNames(acquiredIn(r.history.Sofar()).byName) {
		info, err := r.admin.ShowLock(ctx, name)
		put(fmt.Sprintf("lock-%d.json", i), info, err)
		r.say("lock %q: holders %+v, %d waiters, %v", name, info.Holders, info.WaiterCount, err)
		for _, w := range info.Waiters[:min(3, len(info.Waiters))] {
			r.say("  waiter %+v", w)
		}
	}
	for _, w := range r.everybody() {
		if s := w.session; s != nil {
			r.say("client %s: session %d, state %v, for %v, %v", w.Name, s.ID(), s.State(), time.Until(s.Deadline()).Round(time.Millisecond), s.Err())
		}
	}
	if f, err := os.Create(filepath.Join(r.cfg.dir, "stuck-clients.goroutines")); err == nil {
		_ = pprof.Lookup("goroutine").WriteTo(f, 2)
		_ = f.Close()
	}
	r.say("%s", r.keepHistory(&check.History{Operations: r.history.Sofar()}))
	client := http.Client{Timeout: 5 * time.Second}
	for _, n := range r.cluster.Nodes() {
		resp, err := client.Get("http://" + n.Endpoint + "/metrics")
		var b []byte
		if err == nil {
			b, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if err != nil {
			b = []byte(err.Error())
		}
		_ = os.WriteFile(filepath.Join(r.cfg.dir, "stuck-"+n.Name+".metrics"), b, 0o644)
	}
	for i, n := range r.cluster.Nodes() {
		r.down[i].Store(true)
		_ = n.Signal(syscall.SIGQUIT) // all goroutines go to its log, and it ends
	}
	r.say("diagnostics are in %s: stuck-*, and the goroutines of the nodes at the end of their logs", r.cfg.dir)
}
