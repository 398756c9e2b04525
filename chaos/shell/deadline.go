package shell

import (
	"sync"
	"time"
)

// deadline is until when one kind of call waits.
type deadline struct {
	cond    *sync.Cond // of those who wait
	timer   *time.Timer
	at      time.Time
	expired bool
}

// set moves it. Needs mu.
func (d *deadline) set(mu *sync.Mutex, t time.Time) {
	d.at, d.expired = t, false
	if t.IsZero() {
		d.stop()
		return
	}
	wait := time.Until(t)
	switch {
	case wait <= 0:
		d.stop()
		d.expired = true
		d.cond.Broadcast()
	case d.timer != nil:
		d.timer.Reset(wait)
	default:
		d.timer = time.AfterFunc(wait, func() {
			mu.Lock()
			defer mu.Unlock()
			if !d.at.IsZero() && !time.Now().Before(d.at) {
				d.expired = true
				d.cond.Broadcast()
			}
		})
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
