package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Printer writes reports. The zero value of a field is not usable: make one
// with New and change what a test needs.
type Printer struct {
	Out  io.Writer
	JSON bool
	Now  func() time.Time
	Zone *time.Location
}

// New returns a printer of text, or of JSON.
func New(out io.Writer, asJSON bool) *Printer {
	return &Printer{Out: out, JSON: asJSON, Now: time.Now, Zone: time.Local}
}

// Object writes v as one line of JSON.
func (p *Printer) Object(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write as JSON: %w", err)
	}
	_, err = p.Out.Write(append(b, '\n'))
	return err
}

// Line writes one line of text.
func (p *Printer) Line(format string, args ...any) error {
	_, err := fmt.Fprintf(p.Out, format+"\n", args...)
	return err
}

// Table writes rows under headings, in columns as wide as they need to be.
// A column without content but for its heading is left out.
func (p *Printer) Table(indent string, headings []string, rows [][]string) error {
	widths := make([]int, len(headings))
	for _, row := range rows {
		for i, cell := range row {
			if cell != "" {
				widths[i] = max(widths[i], width(cell), width(headings[i]))
			}
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{headings}, rows...) {
		var line strings.Builder
		line.WriteString(indent)
		for i, cell := range row {
			if widths[i] > 0 {
				line.WriteString(cell + strings.Repeat(" ", widths[i]-min(width(cell), widths[i])+2))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(p.Out, b.String())
	return err
}

func width(s string) int { return len([]rune(s)) }

// Done says that something was done: in text a sentence, in JSON the fields.
func (p *Printer) Done(text string, fields map[string]any) error {
	if p.JSON {
		return p.Object(fields)
	}
	return p.Line("%s", Text(text))
}

// Ready announces the client addresses of a server.
func (p *Printer) Ready(endpoints []string) error {
	if p.JSON {
		return p.Object(struct {
			Ready     bool     `json:"ready"`
			Endpoints []string `json:"endpoints"`
		}{true, endpoints})
	}
	return p.Line("ready %s", strings.Join(endpoints, ","))
}
