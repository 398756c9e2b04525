package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/conch-lock/conch/bench/system"
)

// lock is one lock.
type lock struct {
	held  bool
	queue []chan struct{} // closed when it is the waiter's turn
}

// client is one user.
type client struct {
	s     *System
	queue bool
}

func (c *client) Lock(ctx context.Context, name string) (func(context.Context) error, error) {
	if err := c.s.cluster.serves(); err != nil {
		return nil, err
	}
	unlock := func(context.Context) error { c.s.unlock(name); return nil }
	c.s.mu.Lock()
	l, ok := c.s.locks[name]
	if !ok {
		l = &lock{}
		c.s.locks[name] = l
	}
	if !l.held {
		l.held = true
		c.s.mu.Unlock()
		return unlock, nil
	}
	if !c.queue {
		c.s.mu.Unlock()
		return nil, system.ErrHeld
	}
	turn := make(chan struct{})
	l.queue = append(l.queue, turn)
	c.s.mu.Unlock()
	select {
	case <-turn:
		return unlock, nil
	case <-ctx.Done():
	}
	c.s.mu.Lock()
	i := slices.Index(l.queue, turn)
	if i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
	c.s.mu.Unlock()
	if i < 0 { // granted meanwhile: give it back
		c.s.unlock(name)
	}
	return nil, ctx.Err()
}

// unlock hands a lock to the next.
func (s *System) unlock(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.locks[name]
	if len(l.queue) == 0 {
		l.held = false
		return
	}
	close(l.queue[0])
	l.queue = l.queue[1:]
}

func (c *client) Get(_ context.Context, key string) ([]byte, error) {
	if err := c.s.cluster.serves(); err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	v, ok := c.s.keys[key]
	if !ok {
		return nil, fmt.Errorf("memory: no key %q", key)
	}
	return v, nil
}

func (c *client) Put(_ context.Context, key string, value []byte) error {
	if err := c.s.cluster.serves(); err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.keys[key] = value
	return nil
}

// Campaign waits for the lock of the election and tells the observers.
func (c *client) Campaign(ctx context.Context, election, value string) (func(context.Context) error, error) {
	waiting := &client{c.s, true}
	resign, err := waiting.Lock(ctx, "election "+election)
	if err != nil {
		return nil, err
	}
	c.s.mu.Lock()
	c.s.leads[election] = value
	observers := slices.Clone(c.s.seen[election])
	c.s.mu.Unlock()
	for _, seen := range observers {
		seen(value)
	}
	return resign, nil
}

func (c *client) Observe(ctx context.Context, election string, seen func(value string)) error {
	c.s.mu.Lock()
	c.s.seen[election] = append(c.s.seen[election], seen)
	now, ok := c.s.leads[election]
	c.s.mu.Unlock()
	if ok {
		seen(now)
	}
	<-ctx.Done()
	return nil
}
