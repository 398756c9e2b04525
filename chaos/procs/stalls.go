//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The machine that a run has may be busy with other things. What it holds up is
// measured here, by means that do not ask Conch, so that a defect of Conch is not
// taken for one of the machine.
const (
	// starved is by how much something may be late until it counts as held up.
	starved = 150 * time.Millisecond
	// slowSync is how long a sync of a few bytes may take until the disk counts as
	// held up.
	slowSync = 300 * time.Millisecond
	// outOfOffice is for how long a node must not run until the others may have
	// taken it for gone: half an election is too short for that.
	outOfOffice = 500 * time.Millisecond
	// moment is from when on something late is worth telling of a session that was
	// lost meanwhile. It excuses nothing.
	moment = 20 * time.Millisecond
)

// watchSelf notes when this process does not run: its clients are then no
// better than stopped ones. It ends with stop.
func (o *outages) watchSelf(stop <-chan struct{}) {
	const step = 20 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for last := now(); ; {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		t := now()
		if late := t - last - step; late > starved {
			o.add(&outage{what: "this program was starved", stall: true, from: last, to: t})
		} else {
			o.brief(t-late, t)
		}
		last = t
	}
}

// watchNode notes when a thread of a node's process has waited for a processor:
// the kernel counts that. What this program does to the node itself, own, is a fault
// and no business of the machine. It ends with stop.
func (o *outages) watchNode(name string, pid func() int, own *spell, stop <-chan struct{}) {
	const step = 100 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	waited := map[string]time.Duration{} // by thread
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		t, seen := now(), threadWaits(pid())
		longest := time.Duration(0)
		for thread, w := range seen {
			if before, ok := waited[thread]; ok {
				longest = max(longest, w-before)
			}
		}
		waited = seen
		if x := starvation(name, t, longest, own); x != nil {
			o.add(x)
		} else if !own.after(t - longest) {
			o.brief(t-longest, t)
		}
	}
}

// brief notes that something was late for a moment.
func (o *outages) brief(from, to instant) {
	if to-from <= moment {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.moments = append(o.moments, outage{what: "late", stall: true, from: from, to: to})
}

// starvation is what it means that a thread of a node has waited for so long; nil:
// nothing.
func starvation(name string, t instant, longest time.Duration, own *spell) *outage {
	if longest <= starved || own.after(t-longest) {
		return nil
	}
	x := &outage{what: "node " + name + " was starved", stall: true, from: t - longest, to: t}
	if longest > outOfOffice {
		x.nodes = []string{name}
	}
	return x
}

// threadWaits is for how long each thread of a process has waited for a
// processor; empty when the process is gone or the kernel does not count it.
func threadWaits(pid int) map[string]time.Duration {
	out := map[string]time.Duration{}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if fields := strings.Fields(string(b)); len(fields) == 3 {
			if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				out[file] = time.Duration(n)
			}
		}
	}
	return out
}

// watchDisk notes when the disk that the nodes share takes long for a few bytes.
// It ends with stop.
func (o *outages) watchDisk(dir string, stop <-chan struct{}) error {
	f, err := os.Create(filepath.Join(dir, "sync-probe"))
	if err != nil {
		return err
	}
	defer f.Close()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
		t := now()
		if _, err := f.WriteAt([]byte("x"), 0); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if took := now() - t; took > slowSync {
			o.add(&outage{what: "the disk was slow", stall: true, from: t, to: t + took})
		} else {
			o.brief(t, t+took)
		}
	}
}

// stalled is for how long, within a time, the machine held something up.
func stalled(outages []outage, from, to instant) time.Duration {
	sum, upto := time.Duration(0), from
	for { // the union of what may overlap, from left to right
		next := to
		for i := range outages {
			if o := &outages[i]; o.stall && o.to > upto {
				next = min(next, max(o.from, upto))
			}
		}
		if next >= to {
			return sum
		}
		end := next
		for i := range outages {
			if o := &outages[i]; o.stall && o.from <= next {
				end = max(end, o.to)
			}
		}
		end = min(end, to)
		sum += end - next
		upto = end
	}
}
