package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every machine
// that Go and Linux run on.
const tick = time.Second / 100

// Usage is what processes have cost so far.
type Usage struct {
	CPU    time.Duration // user and system, in steps of 10 ms
	Memory int64         // resident bytes
}

// Of reads the usage of one process.
func Of(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	return parse(stat)
}

// parse reads /proc/PID/stat. The name, in brackets, may have blanks and
// brackets in it: fields are counted from the last bracket.
func parse(stat []byte) (Usage, error) {
	const utime, stime, rss = 11, 12, 21 // counted from the state, which comes after the name
	var fields [][]byte
	if end := bytes.LastIndexByte(stat, ')'); end >= 0 {
		fields = bytes.Fields(stat[end+1:])
	}
	if len(fields) <= rss {
		return Usage{}, fmt.Errorf("/proc/PID/stat is not as expected: %q", stat)
	}
	var numbers [3]int64
	for i, at := range []int{utime, stime, rss} {
		n, err := strconv.ParseInt(string(fields[at]), 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("/proc/PID/stat is not as expected: field %d: %w", at+3, err)
		}
		numbers[i] = n
	}
	return Usage{
		CPU:    time.Duration(numbers[0]+numbers[1]) * tick,
		Memory: numbers[2] * int64(os.Getpagesize()),
	}, nil
}

// Sum is the usage of processes together. One that has ended is an error: its
// part would be missing.
func Sum(all []*Process) (Usage, error) {
	var sum Usage
	for _, p := range all {
		u, err := Of(p.PID())
		if err != nil || !p.Running() {
			return Usage{}, p.Complaint("its usage cannot be read")
		}
		sum.CPU += u.CPU
		sum.Memory += u.Memory
	}
	return sum, nil
}
