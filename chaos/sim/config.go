package sim

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Config says what is simulated. What is zero is drawn from the seed or has its
// default.
type Config struct {
	Seed    uint64
	Nodes   int           // that the cell begins with; 3, and 5 for every fourth seed
	Clients int           // default 6
	Pace    int           // how many times as long they rest as in the busiest runs
	Length  time.Duration // of the time with faults; default 60 s
	Work    Work          // what clients do
	Only    []int         // the numbers of the planned faults that happen; nil: all, empty: none
	Log     io.Writer     // what happens, line by line; nil: not told
}

// Length is how long faults go on unless the config says otherwise.
const Length = time.Minute

func (c Config) withDefaults() Config {
	if c.Nodes == 0 {
		c.Nodes = 3
		if c.Seed%4 == 0 {
			c.Nodes = 5
		}
	}
	if c.Clients == 0 {
		c.Clients = 6
	}
	if c.Length == 0 {
		c.Length = Length
	}
	return c
}

// String spells the config as Parse reads it: the seed, and what differs from
// the defaults. Log is not in it.
func (c Config) String() string {
	b := strconv.FormatUint(c.Seed, 10)
	if c.Nodes != 0 {
		b += fmt.Sprint(" nodes=", c.Nodes)
	}
	if c.Clients != 0 {
		b += fmt.Sprint(" clients=", c.Clients)
	}
	if c.Pace != 0 {
		b += fmt.Sprint(" pace=", c.Pace)
	}
	if c.Length != 0 {
		b += fmt.Sprint(" length=", c.Length)
	}
	if c.Work != 0 {
		b += fmt.Sprint(" work=", c.Work)
	}
	if c.Only != nil {
		list := make([]string, len(c.Only))
		for i, n := range c.Only {
			list[i] = strconv.Itoa(n)
		}
		b += " faults=" + strings.Join(list, ",")
	}
	return b
}

// What a config may ask for at the most, and 1 at the least: what is left out is
// drawn from the seed, and not what is 0.
const (
	mostNodes   = 9
	mostClients = 1000
	mostPace    = 100
)

// within reads a number from 1 to most.
func within(value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("allowed are 1 to %d", most)
	}
	return n, nil
}

// unplanned says which of the faults that are wanted the run does not have.
func (c Config) unplanned() error {
	if len(c.Only) == 0 {
		return nil
	}
	plan := (&world{cfg: c.withDefaults()}).planned()
	for _, i := range c.Only {
		switch {
		case len(plan) == 0:
			return fmt.Errorf("fault %d: this run has no faults", i)
		case i < 0 || i >= len(plan):
			return fmt.Errorf("fault %d: this run has faults 0 to %d", i, len(plan)-1)
		}
	}
	return nil
}

// Parse reads what String wrote: "42", "42 nodes=3 length=12s faults=3,7,9".
func Parse(s string) (Config, error) {
	var c Config
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return c, fmt.Errorf("a seed is missing")
	}
	seed, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return c, fmt.Errorf("seed %q: a number is wanted", fields[0])
	}
	c.Seed = seed
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		switch name {
		case "nodes":
			c.Nodes, err = within(value, mostNodes)
		case "clients":
			c.Clients, err = within(value, mostClients)
		case "pace":
			c.Pace, err = within(value, mostPace)
		case "length":
			if c.Length, err = time.ParseDuration(value); err == nil && c.Length <= 0 {
				err = fmt.Errorf("a length is above 0")
			}
		case "work":
			c.Work, err = parseWork(value)
		case "faults":
			c.Only = []int{}
			for _, n := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' }) {
				i, wrong := strconv.ParseUint(n, 10, 31)
				if wrong != nil {
					err = fmt.Errorf("fault %q: a number is wanted", n)
				}
				c.Only = append(c.Only, int(i))
			}
		default:
			err = fmt.Errorf("known are nodes, clients, pace, length, work and faults")
		}
		if err != nil {
			return c, fmt.Errorf("%q: %w", f, err)
		}
	}
	return c, nil
}

// Work is a set of what clients do.
type Work uint16

// What clients do.
const (
	Exclusive Work = 1 << iota // claim one lock
	Shared                     // claim shared locks beside exclusive ones
	Permits                    // claim permits of a capacity
	Many                       // claim several locks at once
	Campaigns                  // stand in elections
	Keys                       // read, write and compare keys
	Crowd                      // more than a thousand claims wait for one lock
	Ailing                     // claim a lock of one's own, while one node is down or slow and nothing else goes wrong

	works
)

var workNames = [...]string{"exclusive", "shared", "permits", "many", "elections", "keys", "crowd", "ailing"}

// String lists the names, with commas.
func (k Work) String() string {
	var l []string
	for i, name := range workNames {
		if k&(1<<i) != 0 {
			l = append(l, name)
		}
	}
	return strings.Join(l, ",")
}

func parseWork(s string) (Work, error) {
	var k Work
	for name := range strings.SplitSeq(s, ",") {
		found := false
		for i, known := range workNames {
			if name == known {
				k |= 1 << i
				found = true
			}
		}
		if !found {
			return 0, fmt.Errorf("work %q: known are %v", name, works-1)
		}
	}
	return k, nil
}
