package conchcron

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/conch-lock/conch/sdk"
)

func locker(t *testing.T, prefix string, every time.Duration) (*Locker, *sdk.Client) {
	t.Helper()
	c := dial(t)
	l, err := NewLocker(c, LockerConfig{Every: every, Prefix: prefix, TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l, c
}

func TestOneOfTwoLocks(t *testing.T) {
	name := unique(t)
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	a, client := locker(t, name+"/", time.Minute)
	b, _ := locker(t, name+"/", time.Minute)
	a.ticks.now = func() time.Time { return now }
	b.ticks.now = func() time.Time { return now.Add(20 * time.Second) } // its clock is ahead

	held, err := a.Lock(t.Context(), "job")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lock(t.Context(), "job"); !errors.Is(err, ErrLocked) {
		t.Errorf("beside a holder: %v, want ErrLocked", err)
	}
	if other, err := b.Lock(t.Context(), "another job"); err != nil {
		t.Errorf("another job: %v", err)
	} else if err := other.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	if err := held.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := b.Lock(t.Context(), "job"); !errors.Is(err, ErrRan) {
		t.Errorf("the same tick with the lock free: %v, want ErrRan", err)
	}
	if l, err := client.ShowLock(within(t), name+"/job"); err == nil && len(l.Holders) > 0 {
		t.Errorf("a refused tick left the lock held: %+v", l)
	}
	b.ticks.now = func() time.Time { return now.Add(time.Minute) }
	held, err = b.Lock(t.Context(), "job")
	if err != nil {
		t.Fatalf("the next tick: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := held.Unlock(over); err != nil {
		t.Errorf("unlock as a scheduler does that stops: %v", err)
	}
	a.ticks.now = func() time.Time { return now.Add(20 * time.Second) }
	if _, err := a.Lock(t.Context(), "job"); !errors.Is(err, ErrRan) {
		t.Errorf("an earlier tick: %v, want ErrRan", err)
	}
}

func TestLockedTask(t *testing.T) {
	name := unique(t)
	l, client := locker(t, name+"/", time.Hour)
	task := l.Task("job", func(ctx context.Context, r Run) error {
		if err := client.BreakLock(within(t), name+"/job", r.Token, "test"); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return nil
	})
	if err := task(t.Context()); !errors.Is(err, ErrLost) {
		t.Errorf("without the lock: %v, want ErrLost", err)
	}
	held, err := l.Lock(t.Context(), "job")
	if err != nil {
		t.Fatal(err)
	}
	if err := task(t.Context()); !errors.Is(err, sdk.ErrBroken) {
		t.Errorf("a lock that was broken: %v, want the reason of the loss", err)
	}
	if err := held.Unlock(t.Context()); !errors.Is(err, sdk.ErrBroken) {
		t.Errorf("unlock: %v", err)
	}
}

// A session that an operator ended is replaced at the next tick; a closed
// locker locks nothing.
func TestLockerGoesOnInAnotherSession(t *testing.T) {
	name := unique(t)
	l, client := locker(t, name+"/", time.Hour)
	held, err := l.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	lock := held.(*heldLock).lock
	if err := client.EndSession(within(t), lock.Session().ID(), "test"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lock.Done():
	case <-within(t).Done():
		t.Fatal("the loss was not noticed")
	}
	if _, err := l.Lock(t.Context(), "b"); err != nil {
		t.Errorf("after the session was ended: %v", err)
	}
	if err := l.Close(within(t)); err != nil {
		t.Error(err)
	}
	if _, err := l.Lock(t.Context(), "c"); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// With gocron itself: three schedulers, every tick once.
func TestSchedulersWithLockers(t *testing.T) {
	name := unique(t)
	const every = 200 * time.Millisecond
	var mu sync.Mutex
	ticks := make(map[time.Time]int)
	tokens := make(map[sdk.Token]bool)
	done := make(chan struct{})
	for range 3 {
		l, _ := locker(t, name+"/", every)
		s, err := gocron.NewScheduler(gocron.WithDistributedLocker(l))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.NewJob(gocron.DurationJob(every), gocron.NewTask(l.Task("job", func(_ context.Context, r Run) error {
			mu.Lock()
			defer mu.Unlock()
			ticks[r.Due]++
			if tokens[r.Token] {
				t.Errorf("token %d came twice", r.Token)
			}
			tokens[r.Token] = true
			if len(ticks) == 6 {
				close(done)
			}
			return nil
		})), gocron.WithName("job"), gocron.WithStartAt(gocron.WithStartDateTime(time.Now().Truncate(every).Add(2*every))))
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	select {
	case <-done:
	case <-within(t).Done():
		t.Error("too few ticks ran")
	}
	mu.Lock()
	defer mu.Unlock()
	for at, n := range ticks {
		if n != 1 {
			t.Errorf("the tick of %v ran %d times", at, n)
		}
	}
}
