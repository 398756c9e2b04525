package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func good() Serve {
	return Serve{
		Name: "n1", DataDir: "/var/lib/conch", ListenClient: "127.0.0.1:7654", ListenPeer: "127.0.0.1:7754",
		InitialCluster: []Node{{"n1", "127.0.0.1:7754"}, {"n2", "127.0.0.1:7755"}, {"n3", "[::1]:7756"}},
		LogLevel:       "info", LogFormat: "json",
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Serve)
		want   string // "" : allowed
	}{
		{"good", func(*Serve) {}, ""},
		{"one node", func(s *Serve) { s.InitialCluster = s.InitialCluster[:1] }, ""},
		{"wildcard with an address for clients", func(s *Serve) { s.ListenClient, s.AdvertiseClient = ":7654", "10.0.0.1:7654" }, ""},
		{"any port", func(s *Serve) { s.ListenClient, s.ListenPeer = "127.0.0.1:0", "127.0.0.1:0" }, ""},
		{"no name", func(s *Serve) { s.Name = "" }, "name: the name of a node is empty: 1 to 64 letters, digits, '-', '_' and '.' are allowed"},
		{"bad cluster", func(s *Serve) { s.Cluster = "a/b" }, `cluster: "a/b": the name of a cluster is 1 to 64`},
		{"bad name", func(s *Serve) { s.Name = "n 1" }, `name: "n 1": the name of a node is 1 to 64`},
		{"long name", func(s *Serve) { s.Name = strings.Repeat("n", 65) }, "the name of a node is 1 to 64"},
		{"name not in cluster", func(s *Serve) { s.Name = "n4" }, `name: "n4": it is not in initial-cluster (n1=127.0.0.1:7754,n2=127.0.0.1:7755,n3=[::1]:7756)`},
		{"no folder", func(s *Serve) { s.DataDir = "" }, "data-dir: it is not set"},
		{"root folder", func(s *Serve) { s.DataDir = "/.." }, `data-dir: "/..": name a folder that is this node's alone`},
		{"no listen-client", func(s *Serve) { s.ListenClient = "" }, "listen-client: it is not set: HOST:PORT is allowed"},
		{"no port", func(s *Serve) { s.ListenClient = "localhost" }, `listen-client: "localhost": it is not HOST:PORT`},
		{"port too large", func(s *Serve) { s.ListenPeer = "localhost:65536" }, `listen-peer: "localhost:65536": port "65536": a number up to 65535 is allowed`},
		{"port a word", func(s *Serve) { s.ListenPeer = "localhost:http" }, `port "http": a number up to 65535 is allowed`},
		{"same ports", func(s *Serve) { s.ListenPeer = s.ListenClient }, `listen-peer: "127.0.0.1:7654": it is the address of listen-client too`},
		{"unreachable for clients", func(s *Serve) { s.ListenClient = "0.0.0.0:7654" }, `advertise-client: it is not set, and listen-client "0.0.0.0:7654" listens on every address`},
		{"advertised wildcard", func(s *Serve) { s.AdvertiseClient = "[::]:7654" }, `advertise-client: "[::]:7654": it means every address`},
		{"no cluster", func(s *Serve) { s.InitialCluster = nil }, "initial-cluster: it has 0 nodes: 1 to 15 are allowed"},
		{"two of one name", func(s *Serve) { s.InitialCluster[1].Name = "n1" }, `two nodes have the name "n1"`},
		{"two of one address", func(s *Serve) { s.InitialCluster[1].Peer = "127.0.0.1:7754" }, `nodes "n1" and "n2" have the same address 127.0.0.1:7754`},
		{"peer without port", func(s *Serve) { s.InitialCluster[1].Peer = "h" }, `initial-cluster: "h": it is not HOST:PORT`},
		{"peer at port 0", func(s *Serve) { s.InitialCluster[1].Peer = "h:0" }, "port 0 cannot be reached"},
		{"peer everywhere", func(s *Serve) { s.InitialCluster[1].Peer = ":7" }, "it means every address"},
		{"join alone", func(s *Serve) { s.InitialCluster, s.Join = s.InitialCluster[:1], true }, "list the nodes of the running cluster too"},
		{"log level", func(s *Serve) { s.LogLevel = "loud" }, `log-level: "loud": allowed are debug, info, warn, error`},
		{"log format", func(s *Serve) { s.LogFormat = "xml" }, `log-format: "xml": allowed are json, text`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := good()
			tt.change(&s)
			err := s.Check()
			if tt.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestParseCluster(t *testing.T) {
	got, err := ParseCluster("n1=a:1, n2=b:2")
	if want := []Node{{"n1", "a:1"}, {"n2", "b:2"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ParseCluster("n1=a:1,b:2"); err == nil || !strings.Contains(err.Error(), `"b:2" is not NAME=HOST:PORT`) {
		t.Errorf("error %v", err)
	}
}

func TestFile(t *testing.T) {
	known := []string{KeyName, KeyDataDir, KeyListenClient, KeyInitialCluster, KeyJoin}
	tests := []struct {
		name, text string
		want       map[string]string
		err        string
	}{
		{"strings", "name = \"n1\"\njoin = true\n", map[string]string{"name": "n1", "join": "true"}, ""},
		{"cluster as text", `initial-cluster = "n1=a:1,n2=b:2"`, map[string]string{"initial-cluster": "n1=a:1,n2=b:2"}, ""},
		{"cluster as a list", `initial-cluster = ["n1=a:1", "n2=b:2"]`, map[string]string{"initial-cluster": "n1=a:1,n2=b:2"}, ""},
		{"cluster as a table", "[initial-cluster]\nn2 = \"b:2\"\nn1 = \"a:1\"\n", map[string]string{"initial-cluster": "n1=a:1,n2=b:2"}, ""},
		{"empty", "", map[string]string{}, ""},
		{"slip of the pen", `listen-clinet = "x"`, nil, `unknown key "listen-clinet": did you mean "listen-client"?`},
		{"unknown", `colour = "red"`, nil, `unknown key "colour": the known ones are data-dir, initial-cluster, join, listen-client, name`},
		{"syntax", "name = \"n1\"\nname = = 3\n", nil, "line 2"},
		{"twice", "name = \"n1\"\nname = \"n2\"\n", nil, "line 2"},
		{"a number as a name", "name = 5", nil, "name: 5: a string is allowed, in quotes"},
		{"a list as a name", `name = ["n1"]`, nil, "name: [n1]: a string is allowed, in quotes"},
		{"a number with a point", "name = 1.5", nil, "name: 1.5: a string is allowed, in quotes"},
		{"a date", "name = 2026-01-02", nil, "name: 2026-01-02"},
		{"a port", "listen-client = 7654", nil, "listen-client: 7654: a string is allowed, in quotes"},
		{"text as a switch", `join = "true"`, nil, `join: "true": true or false is allowed, without quotes`},
		{"a number as a switch", "join = 1", nil, "join: 1: true or false is allowed, without quotes"},
		{"a switch as the cluster", "initial-cluster = true", nil, "initial-cluster: true: a string, or a list or a table of strings is allowed"},
		{"a list of numbers", "initial-cluster = [1]", nil, "initial-cluster: element 1 is 1: a string is allowed"},
		{"a table of numbers", "[initial-cluster]\nn1 = 1", nil, "n1 is 1: a string is allowed"},
		{"too large", "#" + strings.Repeat("x", maxFile), nil, "at most 1048576 are allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "conch.toml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := File(path, known)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), path) {
					t.Fatalf("error %v, want %s with the path", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for k, v := range tt.want {
				if got[k] != v {
					t.Errorf("%s = %q, want %q", k, got[k], v)
				}
			}
		})
	}
	if _, err := File("/no/such/file", known); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want one that says the file is not there", err)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "acb", 2}, {"kitten", "sitting", 3}, {"", "xy", 2}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
