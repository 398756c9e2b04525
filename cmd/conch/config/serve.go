package config

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names of the settings of a node: flags, keys of the file.
const (
	KeyName            = "name"
	KeyCluster         = "cluster"
	KeyDataDir         = "data-dir"
	KeyListenClient    = "listen-client"
	KeyListenPeer      = "listen-peer"
	KeyAdvertiseClient = "advertise-client"
	KeyInitialCluster  = "initial-cluster"
	KeyJoin            = "join"
	KeyLogLevel        = "log-level"
	KeyLogFormat       = "log-format"
)

const (
	maxNodeName = 64
	maxNodes    = 15
)

// Serve is the settings of one node.
type Serve struct {
	// Name is the node's own, one of InitialCluster: 1 to 64 letters, digits,
	// '-', '_' and '.'.
	Name string
	// Cluster is the name of the cluster, spelled like that of a node. Nodes of
	// another one are refused, and so is a data directory of another one. Empty:
	// the server's default.
	Cluster string
	// DataDir is the folder of the node's log and snapshots, its alone.
	DataDir string
	// ListenClient and ListenPeer are host:port addresses to listen on.
	ListenClient string
	ListenPeer   string
	// AdvertiseClient is what clients are told; empty: ListenClient.
	AdvertiseClient string
	// InitialCluster is all nodes of the cluster with their peer addresses,
	// this one too: 1 to 15.
	InitialCluster []Node
	// Join: this node was added to a cluster that runs already.
	Join bool
	// LogLevel is debug, info, warn or error; LogFormat json or text.
	LogLevel  string
	LogFormat string
}

// Node is a member of the initial cluster.
type Node struct {
	Name string
	Peer string // host:port
}

// Error is the refusal of a setting.
type Error struct {
	Key, Value string
	Allowed    string // what is wrong and what is allowed
	Source     string // where the value came from, when the caller knows
}

// Error names what is wrong in the configuration.
func (e *Error) Error() string {
	key := e.Key
	if e.Source != "" {
		key = e.Source
	}
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", key, e.Allowed)
	}
	return fmt.Sprintf("%s: %q: %s", key, e.Value, e.Allowed)
}

func refuse(key, value, format string, args ...any) error {
	return &Error{Key: key, Value: value, Allowed: fmt.Sprintf(format, args...)}
}

// ParseCluster reads n1=host:port,n2=host:port.
func ParseCluster(text string) ([]Node, error) {
	var out []Node
	for part := range strings.SplitSeq(text, ",") {
		name, peer, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, refuse(KeyInitialCluster, text, "%q is not NAME=HOST:PORT; write them with commas between, like n1=10.0.0.1:7754,n2=10.0.0.2:7754", part)
		}
		out = append(out, Node{Name: name, Peer: peer})
	}
	return out, nil
}

// Check refuses settings that are wrong by themselves or do not go together.
// The error is an *Error.
func (s Serve) Check() error {
	// 1. Each by itself.
	if err := checkNodeName(KeyName, s.Name); err != nil {
		return err
	}
	if s.Cluster != "" {
		if err := checkNodeName(KeyCluster, s.Cluster); err != nil {
			return err
		}
	}
	if s.DataDir == "" {
		return refuse(KeyDataDir, "", "it is not set: name the folder that keeps this node's data")
	}
	if strings.ContainsRune(s.DataDir, 0) || filepath.Clean(s.DataDir) == "/" {
		return refuse(KeyDataDir, s.DataDir, "name a folder that is this node's alone")
	}
	if err := CheckListen(KeyListenClient, s.ListenClient); err != nil {
		return err
	}
	if err := CheckListen(KeyListenPeer, s.ListenPeer); err != nil {
		return err
	}
	if s.AdvertiseClient != "" {
		if err := CheckAddress(KeyAdvertiseClient, s.AdvertiseClient); err != nil {
			return err
		}
	}
	if err := oneOf(KeyLogLevel, s.LogLevel, "debug", "info", "warn", "error"); err != nil {
		return err
	}
	if err := oneOf(KeyLogFormat, s.LogFormat, "json", "text"); err != nil {
		return err
	}
	// 2. The cluster.
	if err := s.checkCluster(); err != nil {
		return err
	}
	// 3. Addresses that must differ, and that others can reach.
	if s.ListenClient == s.ListenPeer && !strings.HasSuffix(s.ListenClient, ":0") {
		return refuse(KeyListenPeer, s.ListenPeer, "it is the address of %s too: the two must differ", KeyListenClient)
	}
	if s.AdvertiseClient == "" && wildcard(s.ListenClient) {
		return refuse(KeyAdvertiseClient, "", "it is not set, and %s %q listens on every address: say at which one clients reach this node", KeyListenClient, s.ListenClient)
	}
	return nil
}

func (s Serve) checkCluster() error {
	text := clusterText(s.InitialCluster)
	if n := len(s.InitialCluster); n == 0 || n > maxNodes {
		return refuse(KeyInitialCluster, text, "it has %d nodes: 1 to %d are allowed, as NAME=HOST:PORT with commas between", n, maxNodes)
	}
	byName, byPeer := make(map[string]string), make(map[string]string)
	for _, n := range s.InitialCluster {
		if err := checkNodeName(KeyInitialCluster, n.Name); err != nil {
			return err
		}
		if err := CheckAddress(KeyInitialCluster, n.Peer); err != nil {
			return err
		}
		if _, twice := byName[n.Name]; twice {
			return refuse(KeyInitialCluster, text, "two nodes have the name %q: each needs its own", n.Name)
		}
		if other, twice := byPeer[n.Peer]; twice {
			return refuse(KeyInitialCluster, text, "nodes %q and %q have the same address %s: each needs its own", other, n.Name, n.Peer)
		}
		byName[n.Name], byPeer[n.Peer] = n.Peer, n.Name
	}
	if _, ok := byName[s.Name]; !ok {
		return refuse(KeyName, s.Name, "it is not in %s (%s): this node must be listed there with its own peer address", KeyInitialCluster, text)
	}
	if s.Join && len(s.InitialCluster) == 1 {
		return refuse(KeyJoin, "true", "%s has this node alone: list the nodes of the running cluster too", KeyInitialCluster)
	}
	return nil
}

func clusterText(nodes []Node) string {
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		parts[i] = n.Name + "=" + n.Peer
	}
	return strings.Join(parts, ",")
}

func checkNodeName(key, name string) error {
	if name == "" {
		return refuse(key, "", "the name of a node is empty: 1 to %d letters, digits, '-', '_' and '.' are allowed", maxNodeName)
	}
	what := "the name of a node"
	if key == KeyCluster {
		what = "the name of a cluster"
	}
	ok := len(name) <= maxNodeName && utf8.ValidString(name)
	for _, r := range name {
		ok = ok && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.", r))
	}
	if !ok {
		return refuse(key, name, "%s is 1 to %d letters, digits, '-', '_' and '.'", what, maxNodeName)
	}
	return nil
}

// CheckAddress refuses what is not host:port with a port that can be reached.
func CheckAddress(key, address string) error {
	port, err := checkHostPort(key, address)
	if err != nil {
		return err
	}
	if port == 0 {
		return refuse(key, address, "port 0 cannot be reached: 1 to 65535 are allowed")
	}
	if wildcard(address) {
		return refuse(key, address, "it means every address: name one that others can reach")
	}
	return nil
}

// CheckListen refuses what cannot be listened on. The host may be empty, and
// port 0 lets the system choose.
func CheckListen(key, address string) error {
	_, err := checkHostPort(key, address)
	return err
}

func checkHostPort(key, address string) (port int, err error) {
	if address == "" {
		return 0, refuse(key, "", "it is not set: HOST:PORT is allowed, like 127.0.0.1:7654")
	}
	_, portText, err := net.SplitHostPort(address)
	if err != nil {
		return 0, refuse(key, address, "it is not HOST:PORT, like 127.0.0.1:7654 or [::1]:7654")
	}
	port, err = strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return 0, refuse(key, address, "port %q: a number up to 65535 is allowed", portText)
	}
	return port, nil
}

// wildcard says whether address listens on every address of the machine.
func wildcard(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func oneOf(key, value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return refuse(key, value, "allowed are %s", strings.Join(allowed, ", "))
	}
	return nil
}
