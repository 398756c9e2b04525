package config

import (
	"slices"
	"strings"
	"testing"
)

var knownKeys = []string{
	KeyName, KeyCluster, KeyDataDir, KeyListenClient, KeyListenPeer, KeyAdvertiseClient, KeyInitialCluster, KeyJoin, KeyLogLevel, KeyLogFormat,
}

// FuzzFile: any text is settings of known names, or refused.
func FuzzFile(f *testing.F) {
	f.Add("name = \"n1\"\njoin = true\ninitial-cluster = [\"n1=h:1\", \"n2=h:2\"]\n")
	f.Add("[initial-cluster]\nn1 = \"h:1\"\n")
	f.Add("name = 7\n")
	f.Add("nane = \"\"\"\nx\"\"\"")
	f.Add("a = " + strings.Repeat("[", 60))
	f.Fuzz(func(t *testing.T, text string) {
		settings, err := parse("conch.toml", text, knownKeys)
		if err != nil {
			if len(err.Error()) > 16<<10 {
				t.Fatalf("a message of %d bytes", len(err.Error()))
			}
			return
		}
		for k, v := range settings {
			if !slices.Contains(knownKeys, k) || k == KeyJoin && v != "true" && v != "false" {
				t.Fatalf("%q became the setting %s = %q", text, k, v)
			}
		}
	})
}

// TestDeepFile: a file that nests without end is refused, and does not take the
// stack.
func TestDeepFile(t *testing.T) {
	for _, text := range []string{"a = " + strings.Repeat("[", 1<<20-8), strings.Repeat("[", 1<<20), "a = " + strings.Repeat("{a=", 1<<18)} {
		if _, err := parse("conch.toml", text, knownKeys); err == nil || !strings.Contains(err.Error(), "brackets") {
			t.Errorf("%.20q…: %v", text, err)
		}
	}
}

// FuzzServe: settings that pass are those of a node that can be reached; none
// panics.
func FuzzServe(f *testing.F) {
	f.Add("n1", "n1=127.0.0.1:7754,n2=h:2", "127.0.0.1:7654", "[::1]:7754", "", "/var/lib/conch")
	f.Add("", ",", ":", "::1", "h:0", "/..")
	f.Fuzz(func(t *testing.T, name, cluster, client, peer, advertise, dir string) {
		nodes, err := ParseCluster(cluster)
		if err != nil {
			return
		}
		s := good()
		s.Name, s.InitialCluster, s.ListenClient, s.ListenPeer, s.AdvertiseClient, s.DataDir = name, nodes, client, peer, advertise, dir
		if s.Check() != nil {
			return
		}
		if !slices.ContainsFunc(nodes, func(n Node) bool { return n.Name == name }) || len(nodes) > maxNodes || len(name) > maxNodeName {
			t.Fatalf("%+v passed", s)
		}
		for _, n := range nodes {
			if CheckAddress("peer", n.Peer) != nil {
				t.Fatalf("%+v passed", s)
			}
		}
	})
}
