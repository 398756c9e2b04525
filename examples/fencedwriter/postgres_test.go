package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// requirePostgres makes a missing PostgreSQL a failure instead of a skip.
const requirePostgres = "REQUIRE_POSTGRES"

// postgres starts a real PostgreSQL server with a new, empty database, for the
// time of one test, and returns its DSN. It listens on a socket in a folder of
// its own, so it meets no other server.
func postgres(t *testing.T) string {
	t.Helper()
	bin := postgresBin()
	if bin == "" {
		const how = "initdb and pg_ctl of PostgreSQL were not found: install the server, on Debian with apt-get install postgresql, and have its bin folder in PATH"
		if os.Getenv(requirePostgres) != "" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	// A socket's path is short, and the server's own user must get there.
	dir, err := os.MkdirTemp("/tmp", "conch-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	as := serverUser(t)
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(program string, args ...string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, filepath.Join(bin, program), args...)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
		// To a file: the server keeps what it is given open, and a pipe would
		// be waited for.
		out, err := os.CreateTemp(t.TempDir(), program)
		if err != nil {
			return err
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			said, _ := os.ReadFile(out.Name())
			log, _ := os.ReadFile(filepath.Join(dir, "server.log"))
			return fmt.Errorf("%s: %w\n%s%s", program, err, said, log)
		}
		return nil
	}
	data := filepath.Join(dir, "data")
	if err := run("initdb", "--pgdata", data, "--username", "conch", "--auth", "trust", "--no-sync"); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories='%s' -c fsync=off", dir)
	if err := run("pg_ctl", "--pgdata", data, "--log", filepath.Join(dir, "server.log"), "--options", options, "--wait", "start"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run("pg_ctl", "--pgdata", data, "--mode", "immediate", "--wait", "stop"); err != nil {
			t.Error(err)
		}
	})
	return "postgres://conch@/postgres?host=" + url.QueryEscape(dir)
}

// postgresBin is the folder of the server's programs; empty: there is none.
func postgresBin() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // where Debian has them
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(slices.Max(found))
}

// serverUser is who the server runs as: it refuses root. nil: whoever runs the
// test.
func serverUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("PostgreSQL does not run as root, and there is no user postgres or nobody")
	return nil
}
