//go:build !unix

package main

import "time"

// cpuTime is real time where nothing better is known.
func cpuTime() time.Duration { return time.Duration(time.Now().UnixNano()) }
