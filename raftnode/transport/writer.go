package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// session dials the peer and writes to it until that is no longer possible.
// ready tells whether there was a connection at all; err is never nil.
func (p *peer) session(address string) (ready bool, err error) {
	o, err := p.dial(p.ctx, address, rpcMessages)
	if err != nil {
		return false, err
	}
	p.mu.Lock()
	moved := p.addr != address
	p.out, p.connected, p.lastError = o.conn, true, ""
	p.mu.Unlock()
	if moved { // by a setAddress that found no connection to close
		o.conn.fail(errMoved)
	}
	p.mu.Lock()
	p.open = o
	p.mu.Unlock()
	p.connects.Add(1)
	p.log.Info().Str("address", address).Msg("connected to peer")

	// The node of the other side says nothing but pongs, but DRPC waits for it
	// all the time, and so sees at once when the connection is closed.
	heard := make(chan error, 1)
	p.t.wg.Go(func() { heard <- p.hear(o) })
	err = p.write(o)
	o.close()
	if last := <-heard; refusal(p.id, last) != nil {
		err = last
	}

	p.mu.Lock()
	p.out, p.open, p.connected = nil, nil, false
	p.mu.Unlock()
	return true, o.blame(p, err)
}

// hear takes pongs until the stream ends.
func (p *peer) hear(o *outgoing) error {
	var f frame
	for {
		if err := o.stream.MsgRecv(&f, p.t.codec); err != nil {
			o.conn.fail(fmt.Errorf("stream ended: %w", err))
			return err
		}
		if f.kind == kindPong && len(f.data) == 8 {
			p.roundTrip.Store(int64(time.Since(p.t.start)) - int64(binary.BigEndian.Uint64(f.data)))
		}
	}
}

// write sends what is queued, one flush a batch.
func (p *peer) write(o *outgoing) error {
	ping := time.NewTicker(p.t.cfg.PingInterval)
	defer ping.Stop()
	if err := p.ping(o); err != nil {
		return err
	}
	var batch []frame
	for {
		var err error
		if batch, err = p.writeQueued(o, batch[:0]); err != nil {
			return err
		}
		if len(batch) > 0 {
			clear(batch)
			if cap(batch) > 4*batchMessages {
				batch = nil
			}
			select {
			case <-ping.C: // also when the queue is never empty
			case <-p.ctx.Done():
				return p.ctx.Err()
			default:
				continue
			}
		} else {
			select {
			case <-p.queue.ready:
				continue
			case <-o.conn.failed:
				return o.conn.why()
			case <-p.ctx.Done():
				return p.ctx.Err()
			case <-ping.C:
			}
		}
		if err := p.ping(o); err != nil {
			return err
		}
	}
}

// writeQueued takes the next batch and writes it.
func (p *peer) writeQueued(o *outgoing, batch []frame) ([]frame, error) {
	o.writing.Lock()
	defer o.writing.Unlock()
	if err := o.conn.CatchUp(); err != nil {
		o.conn.fail(err)
		return batch, err
	}
	if batch = p.queue.take(batch); len(batch) == 0 {
		return batch, nil
	}
	return batch, p.writeBatch(o, batch)
}

func (p *peer) writeBatch(o *outgoing, batch []frame) error {
	sent := uint64(0)
	for i := range batch {
		err := o.frameWriter.write(&batch[i])
		if err == nil {
			sent++
			continue
		}
		var large *sizeError
		if !errors.As(err, &large) {
			return err
		}
		p.tooLarge(&batch[i], large.size)
		if batch[i].kind == kindRaft {
			p.t.notices.add(batch[i].group, p.id)
		}
	}
	p.sentMessages.Add(sent)
	p.flushes.Add(1)
	return o.flush()
}

func (p *peer) ping(o *outgoing) error {
	o.writing.Lock()
	defer o.writing.Unlock()
	now := binary.BigEndian.AppendUint64(nil, uint64(time.Since(p.t.start)))
	return o.send(&frame{kind: kindPing, data: now})
}
