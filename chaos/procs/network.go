//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/conch-lock/conch/internal/cluster"
)

// network is a namespace for each node, whose only way out is a port of one
// bridge. Clients are outside, at the bridge.
type network struct {
	hosts   []cluster.Host
	spaces  []string
	ports   []string
	bridge  string
	gateway string  // the clients' address
	detour  *detour // nil: this machine has no devices for it
}

// newNetwork makes n namespaces that reach each other and this one.
func newNetwork(n int, seed uint64) (*network, error) {
	id := os.Getpid() // in names, so that leftovers tell whose they were
	subnet := fmt.Sprintf("10.%d.%d", 150+id%10000/250%50, id%10000%250)
	w := &network{bridge: fmt.Sprintf("cpb_%d", id), gateway: subnet + ".1"}
	err := commands(
		"ip link add "+w.bridge+" type bridge",
		"ip addr add "+w.gateway+"/24 dev "+w.bridge,
		"ip link set "+w.bridge+" up",
	)
	for i := 0; i < n && err == nil; i++ {
		space, port, address := fmt.Sprintf("cpn_%d-%d", id, i), fmt.Sprintf("cpp_%d-%d", id, i), fmt.Sprintf("%s.%d", subnet, i+2)
		if err = command1("ip netns add " + space); err != nil {
			break
		}
		// Nothing here is run by ip netns exec, which gives it a copy of all mounts:
		// a disk whose power was cut lives on as long as there is a copy.
		w.hosts = append(w.hosts, cluster.Host{Address: address, Enter: []string{"nsenter", "--net=/run/netns/" + space}})
		w.spaces, w.ports = append(w.spaces, space), append(w.ports, port)
		err = commands(
			"ip link add "+port+" type veth peer name eth0 netns "+space,
			"ip link set "+port+" master "+w.bridge+" up",
			"ip -n "+space+" addr add "+address+"/24 dev eth0",
			"ip -n "+space+" link set eth0 up",
			"ip -n "+space+" link set lo up",
		)
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("network namespaces: %w", err)
	}
	if w.detour, err = newDetour(id, w, seed); err != nil && !errors.Is(err, errNoTun) {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *network) close() {
	if w.detour != nil {
		w.detour.close()
	}
	// A namespace is taken down some time after its name is gone, and its end of a
	// port with it: the port is deleted here, or the next network would find it.
	for _, p := range w.ports {
		_ = command1("ip link del " + p)
	}
	for _, s := range w.spaces {
		_ = command1("ip netns del " + s)
	}
	_ = command1("ip link del " + w.bridge)
}

// silence has the port of a node drop every packet, both ways.
func (w *network) silence(node int, silent bool) error {
	if w.detour != nil {
		w.detour.silence(node, silent)
	}
	state := "3" // forwarding
	if silent {
		state = "0" // disabled
	}
	return command1("bridge link set dev " + w.ports[node] + " state " + state)
}

// rules replaces the packet rules of a node's namespace: lines of the chains
// input and output. No rules: everything passes.
func (w *network) rules(node int, input, output []string) error {
	script := "table ip chaos\ndelete table ip chaos\n"
	if len(input)+len(output) > 0 {
		script += "table ip chaos {\n"
		for chain, lines := range map[string][]string{"input": input, "output": output} {
			script += "chain " + chain + " { type filter hook " + chain + " priority 0; policy accept;\n" + strings.Join(lines, "\n") + "\n}\n"
		}
		script += "}\n"
	}
	cmd := exec.Command("nsenter", "--net=/run/netns/"+w.spaces[node], "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s\n%s", err, out, script)
	}
	return nil
}

// reset breaks all connections of a node.
func (w *network) reset(node int) error {
	return command1("nsenter --net=/run/netns/" + w.spaces[node] + " ss -K -t state established")
}

// others are the addresses of the other nodes.
func (w *network) others(node int) []string {
	var out []string
	for i, h := range w.hosts {
		if i != node {
			out = append(out, h.Address)
		}
	}
	return out
}

// networkTools says which program for the faults of the network is missing.
func networkTools() error {
	var errs []error
	for _, tool := range []string{"ip", "bridge", "nft", "ss", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func commands(lines ...string) error {
	for _, l := range lines {
		if err := command1(l); err != nil {
			return err
		}
	}
	return nil
}

// command1 runs a command whose words have no blanks.
func command1(line string) error { return program(strings.Fields(line)...) }

func program(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
