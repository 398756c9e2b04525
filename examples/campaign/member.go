package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// requestTimeout bounds one request, the member's part of it.
const requestTimeout = 2 * time.Second

// member is one process of the service.
type member struct {
	client *sdk.Client
	name   string
	listen string
	out    io.Writer

	mu      sync.Mutex
	primary *primary // nil: a standby
}

// serve listens and stands until ctx ends.
func (m *member) serve(ctx context.Context) error {
	listener, err := net.Listen("tcp", m.listen)
	if err != nil {
		return err
	}
	who := identity{Name: m.name, Address: listener.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /next", m.handleNext)
	mux.HandleFunc("POST /handover", m.handleHandover)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: requestTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(m.out, "%s stands, and listens on %s\n", m.name, who.Address)

	err = m.client.Lead(ctx, election, m.lead, sdk.WithValue(who.value()))
	if ctx.Err() != nil {
		err = nil // told to stop
	}
	_ = server.Close()
	if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	fmt.Fprintf(m.out, "%s has left\n", m.name)
	return err
}

// lead is what a member does while it leads.
func (m *member) lead(ctx context.Context, token sdk.Token) error {
	l, _ := sdk.LeadershipOf(ctx)
	p, err := begin(ctx, m.client, l)
	if err != nil {
		return err // resigns, and stands again
	}
	how := "the first primary"
	if before := l.Predecessor(); before.Ended != "" {
		how = fmt.Sprintf("after token %d, which was %s", before.Token, before.Ended)
	}
	fmt.Fprintf(m.out, "%s leads under token %d, term %d, %s; the last number was %d\n", m.name, token, l.Term(), how, p.last)
	m.become(p)
	<-ctx.Done()
	m.become(nil)
	fmt.Fprintf(m.out, "%s leads no more: %v\n", m.name, context.Cause(ctx))
	return context.Cause(ctx)
}

func (m *member) become(p *primary) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.primary = p
}

// leading is the primary that this member is, if it is.
func (m *member) leading() (*primary, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.primary == nil {
		return nil, fmt.Errorf("%s is %w", m.name, errNotPrimary)
	}
	return m.primary, nil
}

// handleNext answers with a number, or with 503 and the reason.
func (m *member) handleNext(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	p, err := m.leading()
	if err == nil {
		var n uint64
		if n, err = p.next(ctx); err == nil {
			fmt.Fprintln(w, n)
			return
		}
	}
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// handleHandover hands over to the member named by to.
func (m *member) handleHandover(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	if err := m.handover(ctx, r.FormValue("to")); err != nil {
		code := http.StatusConflict
		if errors.Is(err, errNotPrimary) {
			code = http.StatusServiceUnavailable
		}
		http.Error(w, err.Error(), code)
	}
}

// handover finds the session of a candidate by its name, and hands over to it.
func (m *member) handover(ctx context.Context, to string) error {
	p, err := m.leading()
	if err != nil {
		return err
	}
	e, err := m.client.ShowElection(ctx, election)
	if err != nil {
		return err
	}
	for _, c := range e.Candidates {
		if who, err := identityOf(c.Value); err == nil && who.Name == to {
			return p.handover(ctx, c.Session)
		}
	}
	return fmt.Errorf("no member %q waits to lead: %d others do", to, len(e.Candidates))
}
