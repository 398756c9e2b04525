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
			c.Nodes, err = strconv.Atoi(value)
		case "clients":
			c.Clients, err = strconv.Atoi(value)
		case "pace":
			c.Pace, err = strconv.Atoi(value)
		case "length":
			c.Length, err = time.ParseDuration(value)
		case "work":
			c.Work, err = parseWork(value)
		case "faults":
			c.Only = []int{}
			for _, n := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' }) {
				i, wrong := strconv.Atoi(n)
				if wrong != nil {
					err = wrong
				}
				c.Only = append(c.Only, i)
			}
		default:
			err = fmt.Errorf("known are nodes, clients, pace, length, work and faults")
		}
		if err == nil && (c.Nodes < 0 || c.Nodes > 9 || c.Clients < 0 || c.Clients > 1000 || c.Pace < 0 || c.Pace > 100 || c.Length < 0) {
			err = fmt.Errorf("allowed are up to 9 nodes, up to 1,000 clients, a pace of up to 100 and a length of no less than 0")
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
