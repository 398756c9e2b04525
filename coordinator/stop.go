package coordinator

import (
	"context"
	"time"

	"github.com/conch-lock/conch/raftnode"
)

// How long the steps of a stop in good order may take.
const (
	settlePatience = 500 * time.Millisecond // requests that are under way
	flushPatience  = time.Second            // streams to take what is queued for them
)

// Stop ends the node in good order: it hands leadership to another node, refuses
// new requests, ends those under way, lets streams take what is queued for them,
// and closes everything. When ctx ends it goes on without waiting. It returns
// when nothing of the node runs any more.
func (s *Server) Stop(ctx context.Context) error {
	s.shutdown(ctx, true, nil)
	<-s.done
	return s.Err()
}

// Close ends the node at once, without handing over.
func (s *Server) Close() error {
	s.shutdown(context.Background(), false, nil)
	<-s.done
	return s.Err()
}

// shutdown ends the node, with the reason when it ends by itself. While somebody
// else ends it, it does nothing: done tells when that is over.
func (s *Server) shutdown(ctx context.Context, order bool, reason error) {
	if !s.ending.CompareAndSwap(false, true) {
		return
	}
	if reason != nil {
		s.mu.Lock()
		s.err = reason
		s.mu.Unlock()
		s.log.Error().Err(reason).Msg("the node ends because its cell has failed")
	}
	s.end(ctx, order)
}

func (s *Server) end(ctx context.Context, order bool) {
	defer close(s.done)
	l := s.loop
	// 1. Somebody else leads before this node is gone.
	if order {
		s.giveUpLead(ctx)
	}
	// 2. Nothing new is taken.
	_ = s.listener.Close()
	l.stopping.Store(true)
	// 3. What is under way gets a moment, and is then ended.
	if order {
		s.await(ctx, settlePatience, func() bool { return l.cell.Pending() == 0 })
	}
	s.onLoop(ctx, func() {
		l.guard(l.cell.Stop)
		l.guard(l.stopWaits)
		for st := range l.streams {
			st.out.end(errStoppingNode)
		}
	})
	// 4. Streams take what is queued for them.
	if order {
		s.awaitStreams(ctx)
	}
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	httpCtx, cancel := context.WithTimeout(ctx, flushPatience)
	if !order || s.http.Shutdown(httpCtx) != nil {
		_ = s.http.Close()
	}
	cancel()
	// 5. The consensus and the disk.
	if err := s.host.Close(); err != nil {
		s.log.Error().Err(err).Msg("closing the data directory failed")
	}
	<-s.group.Done()
	l.ended()
	// 6. Connections, and whatever still runs.
	s.listener.end()
	s.wg.Wait()
	l.cell.Machine().Close()
	s.log.Info().Msg("the node has ended")
	s.logs.close()
}

// giveUpLead hands leadership to the node that is furthest along, if this one
// leads and there is another.
func (s *Server) giveUpLead(ctx context.Context) {
	st := s.group.Status()
	voters := 0
	for _, m := range st.Members {
		if !m.Learner {
			voters++
		}
	}
	if st.Role != raftnode.Leader || voters < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.HandOver)
	defer cancel()
	if err := s.group.TransferLeader(ctx, 0); err != nil {
		s.log.Warn().Err(err).Msg("the node leads and stops without having handed over")
	}
}

// onLoop runs f on the loop's goroutine and waits for it, unless the group has
// ended or ctx does.
func (s *Server) onLoop(ctx context.Context, f func()) {
	ran := make(chan struct{})
	err := s.group.Do(func() {
		defer close(ran)
		f()
		s.loop.settle()
	})
	if err != nil {
		return
	}
	select {
	case <-ran:
	case <-s.group.Done():
	case <-ctx.Done():
	}
}

// await waits for a condition of the loop's, up to a time.
func (s *Server) await(ctx context.Context, patience time.Duration, condition func() bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for ctx.Err() == nil {
		result := make(chan bool, 1)
		s.onLoop(ctx, func() { result <- condition() })
		select {
		case fine := <-result:
			if fine {
				return
			}
		default: // there is no loop any more
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// awaitStreams waits until all streams have ended, up to a time.
func (s *Server) awaitStreams(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	gone := make(chan struct{})
	s.wg.Go(func() { // ends with the connections at the latest
		s.streams.Wait()
		close(gone)
	})
	select {
	case <-gone:
	case <-ctx.Done():
	}
}
