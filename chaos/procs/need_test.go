//go:build linux

package main

import (
	"errors"
	"os"
	"testing"
)

// requireNetwork is the environment variable that makes it a failure when the
// network of nodes cannot be broken here.
const requireNetwork = "REQUIRE_NETWORK"

// networkLacks says what is missing for that; nil: nothing.
func networkLacks() error {
	if os.Geteuid() != 0 {
		return errors.New("only root makes network namespaces")
	}
	return networkTools()
}

// needNetwork skips a test that needs it, or fails it.
func needNetwork(t *testing.T) {
	t.Helper()
	if err := networkLacks(); err != nil {
		leaveOut(t, err)
	}
}

// leaveOut skips a test, or fails it when nothing of the network may be left out.
func leaveOut(t *testing.T, why error) {
	t.Helper()
	if os.Getenv(requireNetwork) != "" {
		t.Fatalf("%s is set, and the network cannot be broken here: %v", requireNetwork, why)
	}
	t.Skipf("the network cannot be broken here: %v", why)
}
