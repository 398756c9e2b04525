package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// File reads a TOML file of settings and returns each value as its flag would
// be given. A key that is not known is refused by name. A list becomes its
// elements with commas between them, a table name=value with commas between.
func File(path string, known []string) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("configuration file %s has %d bytes: at most %d are allowed", path, info.Size(), maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return parse(path, string(text), known)
}

// parse reads the text of a file.
func parse(path, text string, known []string) (map[string]string, error) {
	if err := shallow(text); err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("configuration file %s, line %d: %s", path, syntax.Position.Line, syntax.Message)
		}
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	out := make(map[string]string, len(tree))
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("configuration file %s: unknown key %q%s", path, key, suggestion(key, known))
		}
		value, err := spell(key, tree[key])
		if err != nil {
			return nil, fmt.Errorf("configuration file %s: %s: %w", path, key, err)
		}
		out[key] = value
	}
	return out, nil
}

// maxDepth bounds the brackets that are open at a time. No setting needs three.
const maxDepth = 64

// shallow refuses a text that nests so deep that reading it would take a large
// stack. It counts brackets in strings and comments, too: few files have many.
func shallow(text string) error {
	depth := 0
	for _, c := range []byte(text) {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if depth > maxDepth {
			return fmt.Errorf("more than %d brackets are open at a time", maxDepth)
		}
	}
	return nil
}

// spell writes the TOML value of a setting as it would follow its flag. A value
// of another type than the setting's is refused, not read as one of it.
func spell(key string, v any) (string, error) {
	switch key {
	case KeyJoin:
		if b, ok := v.(bool); ok {
			return strconv.FormatBool(b), nil
		}
		return "", fmt.Errorf("%s: true or false is allowed, without quotes", show(v))
	case KeyInitialCluster:
		switch v := v.(type) {
		case []any:
			return spellList(v)
		case map[string]any:
			return spellTable(v)
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	if key == KeyInitialCluster {
		return "", fmt.Errorf("%s: a string, or a list or a table of strings is allowed", show(v))
	}
	return "", fmt.Errorf("%s: a string is allowed, in quotes", show(v))
}

func spellList(list []any) (string, error) {
	parts := make([]string, len(list))
	for i, e := range list {
		s, ok := e.(string)
		if !ok {
			return "", fmt.Errorf("element %d is %s: a string is allowed", i+1, show(e))
		}
		parts[i] = s
	}
	return strings.Join(parts, ","), nil
}

func spellTable(table map[string]any) (string, error) {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(table)) {
		s, ok := table[k].(string)
		if !ok {
			return "", fmt.Errorf("%s is %s: a string is allowed", k, show(table[k]))
		}
		parts = append(parts, k+"="+s)
	}
	return strings.Join(parts, ","), nil
}

// show is a value in a message: text in quotes, and cut when it is long.
func show(v any) string {
	text := fmt.Sprintf("%v", v)
	if s, ok := v.(string); ok {
		text = strconv.Quote(s)
	}
	if r := []rune(text); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return text
}

// suggestion names the known key that is nearest to key, or all of them.
func suggestion(key string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(key, k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	sorted := slices.Sorted(slices.Values(known))
	return ": the known ones are " + strings.Join(sorted, ", ")
}

// distance is how many letters must be inserted, removed or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = min(last, row[j], row[j+1]) + 1
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
