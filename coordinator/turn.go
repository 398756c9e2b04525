package coordinator

import "sync"

// turn lets any number of callers wait for the loop's next turn, with one
// function in its queue for all of them: a loop that is held up must not be
// buried under those who ask whether it is.
type turn struct {
	mu    sync.Mutex
	taken chan struct{} // closed when the function in the queue is run; nil: none is there
}

// after returns what is closed when the loop has had a turn after this call. do
// puts a function into its queue, or says why not.
func (t *turn) after(do func(func()) error) (<-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken != nil {
		return t.taken, nil
	}
	taken := make(chan struct{})
	err := do(func() {
		t.mu.Lock()
		t.taken = nil
		t.mu.Unlock()
		close(taken)
	})
	if err != nil {
		return nil, err
	}
	t.taken = taken
	return taken, nil
}
