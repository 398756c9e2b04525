package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/conch-lock/conch/sdk"
)

// verify checks what is left when everything is over. Each check is made from
// a source of its own.
func (d *demo) verify(ctx context.Context) error {
	fmt.Fprintf(d.out, "\nThe outcome:\n")
	ok := func(what, format string, args ...any) {
		fmt.Fprintf(d.out, "  ok  %-8s %s\n", what, fmt.Sprintf(format, args...))
	}

	// 1. The ledger is what the orders add up to: no update lost, none twice.
	said, err := exec.CommandContext(ctx, d.batchjob, "check", "--dir", d.batch()).Output()
	if err != nil {
		return fmt.Errorf("the ledger: %w", explained(err))
	}
	ok("ledger", "%s", strings.TrimSpace(string(said)))

	// 2. The tokens under which the files were booked only rise.
	tokens, err := tokensOf(filepath.Join(d.batch(), "ledger.csv"))
	if err != nil {
		return err
	}
	if err := rising(tokens, d.files); err != nil {
		return err
	}
	ok("tokens", "%d tokens, each larger than the one before, from %d to %d", len(tokens), tokens[0], tokens[len(tokens)-1])

	// 3. The cell's own record of the lock has a tenure for each of them.
	client, err := sdk.Dial(ctx, sdk.Config{Endpoints: d.nodes.Endpoints(), Name: "demo"})
	if err != nil {
		return err
	}
	defer client.Close()
	history, err := client.LockHistory(ctx, "ledger", 10*d.files)
	if err != nil {
		return fmt.Errorf("the history of the lock: %w", err)
	}
	if err := recorded(history.Tenures, tokens); err != nil {
		return err
	}
	ok("history", "the cell recorded %d grants of the lock, one after the other, those %d among them", len(history.Tenures), len(tokens))

	// 4. All nodes are there and have the same state.
	if err := d.nodes.Healthy(ctx); err != nil {
		return err
	}
	hashes, err := d.hashes(ctx, client)
	if err != nil {
		return err
	}
	ok("nodes", "%d nodes, the killed one too, have the same state %.12s at index %d of the log", len(hashes.Nodes), hashes.Nodes[0].Hash, hashes.Nodes[0].Index)
	fmt.Fprintf(d.out, "\nOK: %d runners, %d files, one killed leader, no update lost, in %.0f seconds.\n", d.runners, d.files, time.Since(d.begin).Seconds())
	return nil
}

// rising says what is wrong with the tokens of so many files.
func rising(tokens []sdk.Token, files int) error {
	if len(tokens) != files {
		return fmt.Errorf("the ledger has %d files, want %d", len(tokens), files)
	}
	for i := 1; i < len(tokens); i++ {
		if tokens[i] <= tokens[i-1] {
			return fmt.Errorf("token %d was written after token %d", tokens[i], tokens[i-1])
		}
	}
	return nil
}

// recorded says what is wrong with the history of the lock, or what is missing
// in it of the tokens of the ledger.
func recorded(tenures []sdk.Tenure, tokens []sdk.Token) error {
	granted, last := make(map[sdk.Token]bool), sdk.Token(0)
	for _, t := range tenures {
		if t.Token <= last {
			return fmt.Errorf("the history of the lock has token %d after token %d", t.Token, last)
		}
		last = t.Token
		granted[t.Token] = true
	}
	for _, token := range tokens {
		if !granted[token] {
			return fmt.Errorf("the ledger has token %d, and the history of the lock does not", token)
		}
	}
	return nil
}

// tokensOf reads from a ledger under which token each file was booked, in order.
func tokensOf(ledger string) ([]sdk.Token, error) {
	f, err := os.Open(ledger)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.FieldsPerRecord = -1
	lines, err := in.ReadAll()
	if err != nil {
		return nil, err
	}
	var out []sdk.Token
	for _, line := range lines {
		if line[0] != "file" {
			continue
		}
		n, err := strconv.ParseUint(line[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the ledger: %q: %w", line, err)
		}
		out = append(out, sdk.Token(n))
	}
	return out, nil
}

// hashes asks until every node has answered: the one that is back may still be
// catching up.
func (d *demo) hashes(ctx context.Context, client *sdk.Client) (sdk.Hashes, error) {
	for {
		hashes, err := client.Hash(ctx)
		if err != nil {
			return hashes, fmt.Errorf("the hashes of the nodes: %w", err)
		}
		missing := false
		for _, n := range hashes.Nodes {
			missing = missing || n.Error != ""
		}
		switch {
		case !missing && hashes.Equal:
			return hashes, nil
		case !missing:
			return hashes, fmt.Errorf("the nodes have different states: %+v", hashes.Nodes)
		}
		select {
		case <-ctx.Done():
			return hashes, fmt.Errorf("not every node told its hash: %+v", hashes.Nodes)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
