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
	var tree map[string]any
	if _, err := toml.Decode(string(text), &tree); err != nil {
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
		value, err := spell(tree[key])
		if err != nil {
			return nil, fmt.Errorf("configuration file %s: %s: %w", path, key, err)
		}
		out[key] = value
	}
	return out, nil
}

// spell writes a TOML value as it would follow its flag.
func spell(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return "", fmt.Errorf("element %d is %v: a string is allowed", i+1, e)
			}
			parts[i] = s
		}
		return strings.Join(parts, ","), nil
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			s, ok := v[k].(string)
			if !ok {
				return "", fmt.Errorf("%s is %v: a string is allowed", k, v[k])
			}
			parts = append(parts, k+"="+s)
		}
		return strings.Join(parts, ","), nil
	default:
		return "", fmt.Errorf("%v: a string, a whole number, true, false, a list or a table of strings is allowed", v)
	}
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
