package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// retry is how long a client waits before it asks a primary again that did not
// answer, unless it hears of another one.
const retry = 50 * time.Millisecond

// number is one that was handed out.
type number struct {
	n    uint64
	from string // name of the member
	at   time.Time
}

// follower knows who leads.
type follower struct {
	mu      sync.Mutex
	leader  *identity     // nil: nobody
	err     error         // why it does not know any more
	changed chan struct{} // closed and replaced when one of them changes
}

// observe follows the election until ctx ends.
func (f *follower) observe(ctx context.Context, client *sdk.Client) {
	for change, err := range client.Observe(ctx, election) {
		var leader *identity
		if err == nil && change.Leader != nil {
			who, wrong := identityOf(change.Leader.Value)
			leader, err = &who, wrong
		}
		f.mu.Lock()
		f.leader, f.err = leader, err
		close(f.changed)
		f.changed = make(chan struct{})
		f.mu.Unlock()
	}
}

func (f *follower) now() (leader *identity, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader, f.changed, f.err
}

// follow asks whoever leads for numbers, one after the other, and hands each to
// got. A request that was not answered is made again: its number, if it was
// handed out at all, is lost.
func follow(ctx context.Context, client *sdk.Client, numbers int, pace time.Duration, got func(number)) error {
	f := &follower{changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	var observing sync.WaitGroup
	observing.Go(func() { f.observe(ctx, client) })
	defer observing.Wait()
	defer cancel()
	for left := numbers; left > 0; {
		leader, changed, err := f.now()
		if err != nil && ctx.Err() == nil {
			return err
		}
		wait := time.Hour // until somebody leads
		if leader != nil {
			n, err := ask(ctx, *leader)
			if err == nil {
				got(n)
				left--
				wait, changed = pace, nil
			} else {
				wait = retry
			}
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// ask asks one member for a number.
func ask(ctx context.Context, who identity) (number, error) {
	body, err := post(ctx, "http://"+who.Address+"/next")
	if err != nil {
		return number{}, err
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(body)), 10, 64)
	if err != nil {
		return number{}, fmt.Errorf("%s answered %q: %w", who.Name, body, err)
	}
	return number{n: n, from: who.Name, at: time.Now()}, nil
}

// askHandover has the present primary hand over.
func askHandover(ctx context.Context, client *sdk.Client, to string, out io.Writer) error {
	e, err := client.ShowElection(ctx, election)
	if err != nil {
		return err
	}
	if e.Leader == nil {
		return errors.New("nobody leads")
	}
	who, err := identityOf(e.Leader.Value)
	if err != nil {
		return err
	}
	if _, err := post(ctx, "http://"+who.Address+"/handover?to="+url.QueryEscape(to)); err != nil {
		return fmt.Errorf("%s does not hand over to %q: %w", who.Name, to, err)
	}
	fmt.Fprintf(out, "%s handed over to %s\n", who.Name, to)
	return nil
}

func post(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(body))
	}
	return body, nil
}
