// Package zookeeper is ZooKeeper as the benchmark sees it: servers from the
// Debian package, and the client library github.com/go-zookeeper/zk.
package zookeeper

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/conch-lock/conch/bench/process"
	"github.com/conch-lock/conch/bench/system"
)

const (
	nodes = 3
	jar   = "/usr/share/java/zookeeper.jar" // names in its manifest what else it needs
	how   = "apt-get install zookeeper"
)

// The recipes.
const (
	sequential = iota
	ephemeral
)

// System is ZooKeeper. The zero value is ready for Prepare.
type System struct {
	java    string
	version string
}

// Name is zookeeper.
func (s *System) Name() string { return "zookeeper" }

// Prepare finds the package and Java.
func (s *System) Prepare(ctx context.Context, _ string) error {
	if _, err := os.Stat(jar); err != nil {
		return &system.MissingError{What: "ZooKeeper (" + jar + ")", How: how}
	}
	path, err := exec.LookPath("java")
	if err != nil {
		return &system.MissingError{What: "java, for ZooKeeper", How: how}
	}
	s.java, s.version = path, "ZooKeeper"
	if out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", "zookeeper").Output(); err == nil {
		s.version += " " + strings.TrimSpace(string(out))
	}
	if out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput(); err == nil {
		first, _, _ := strings.Cut(string(out), "\n")
		s.version += ", " + first
	}
	return nil
}

// Settings are the version and what differs from the defaults.
func (s *System) Settings() []string {
	return []string{
		s.version,
		"3 nodes, the values of the package's zoo.cfg; maxClientCnxns=0, as all clients come from one address; admin server off; logs at WARN; the heap that Java chooses",
	}
}

// Recipes are the library's lock and the cheapest correct one. A session of
// ZooKeeper is a connection, so every client has its own.
func (s *System) Recipes() []system.Recipe {
	return []system.Recipe{
		sequential: {Name: "ZooKeeper", How: "zk.Lock: a sequential ephemeral node, watching the one before; reads are a sync and a get", Queue: true, Like: system.ConnectionEach},
		ephemeral:  {Name: "ZooKeeper, cheapest", How: "creating and deleting one ephemeral node; no queue", Like: system.ConnectionEach},
	}
}

// ShortestTTL is two ticks of 2 s: ZooKeeper raises shorter ones.
func (s *System) ShortestTTL() time.Duration { return 4 * time.Second }

// Start starts three nodes.
func (s *System) Start(ctx context.Context, dir string) (system.Cluster, error) {
	addresses, err := process.Addresses(3 * nodes)
	if err != nil {
		return nil, err
	}
	var members strings.Builder
	for i := range nodes {
		_, election, _ := strings.Cut(addresses[2*nodes+i], ":")
		fmt.Fprintf(&members, "server.%d=%s:%s\n", i+1, addresses[nodes+i], election)
	}
	c := &servers{endpoints: addresses[:nodes]}
	for i := range nodes {
		p, err := s.node(dir, i+1, addresses[i], members.String())
		if err != nil {
			c.Close()
			return nil, err
		}
		c.all = append(c.all, p)
	}
	if err := c.serving(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// node writes the configuration of one server and starts it.
func (s *System) node(dir string, id int, address, members string) (*process.Process, error) {
	name := fmt.Sprintf("n%d", id)
	data := filepath.Join(dir, name)
	config := filepath.Join(dir, name+".cfg")
	host, port, _ := strings.Cut(address, ":")
	text := fmt.Sprintf("tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=%s\nclientPort=%s\nclientPortAddress=%s\nmaxClientCnxns=0\nadmin.enableServer=false\n%s",
		data, port, host, members)
	if err := os.Mkdir(data, 0o755); err != nil {
		return nil, err
	}
	for file, text := range map[string]string{
		filepath.Join(data, "myid"):            fmt.Sprintln(id),
		config:                                 text,
		filepath.Join(dir, "log4j.properties"): "log4j.rootLogger=WARN, CONSOLE\nlog4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender\nlog4j.appender.CONSOLE.layout=org.apache.log4j.SimpleLayout\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return process.Start(process.Spec{
		Name: "zookeeper " + name, Path: s.java, Log: filepath.Join(dir, name+".log"), Dir: dir,
		Args: []string{"-cp", dir + ":" + jar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", config},
	})
}
