package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// order is one line of a file in the inbox.
type order struct {
	account account
	cents   int64
}

// account is what the ledger has a total for.
type account struct{ day, customer string }

// readOrders reads a whole file of orders. A line that is wrong is named with
// the file, and nothing of the file is booked.
func readOrders(file string) ([]order, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := csv.NewReader(f)
	lines.FieldsPerRecord = 3
	var out []order
	for {
		line, err := lines.Read()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		at, _ := lines.FieldPos(0)
		cents, err := strconv.ParseInt(line[2], 10, 64)
		if _, dayErr := time.Parse(time.DateOnly, line[0]); err != nil || dayErr != nil || line[1] == "" {
			return nil, fmt.Errorf("%s: line %d: %q is not a day, a customer and an amount in cents", file, at, line)
		}
		out = append(out, order{account{line[0], line[1]}, cents})
	}
}

// fill writes files of orders into the inbox: the same ones for the same seed.
func fill(s store, files, orders int, seed uint64, out io.Writer) error {
	if files < 1 || files > 9999 || orders < 1 || orders > 100_000 {
		return fmt.Errorf("%w: --files %d --orders %d: 1 to 9999 files of 1 to 100000 orders are allowed", errUsage, files, orders)
	}
	if err := s.create(); err != nil {
		return err
	}
	chance := rand.New(rand.NewPCG(seed, 0))
	customers := []string{"Ada", "Bao", "Cleo", "Dmitri", "Eve"}
	first := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	total := int64(0)
	for n := range files {
		var lines [][]string
		for range orders {
			cents := 100 + chance.Int64N(10_000)
			total += cents
			lines = append(lines, []string{
				first.AddDate(0, 0, chance.IntN(3)).Format(time.DateOnly),
				customers[chance.IntN(len(customers))], strconv.FormatInt(cents, 10),
			})
		}
		if err := replace(s.inbox(fmt.Sprintf("orders-%04d.csv", n+1)), lines); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d files of %d orders each, worth %s in all, are in %s\n", files, orders, money(total), s.inbox(""))
	return nil
}

// money shows cents.
func money(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
