package coordinator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmigrate"

	"github.com/conch-lock/conch/api"
	"github.com/conch-lock/conch/raftnode/disk"
)

// TestStopEndsWhatIsUnderWay: a unary call that waits is answered, the port is
// closed, and the state is there again after a start.
func TestStopEndsWhatIsUnderWay(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	session := a.open(time.Minute)
	grant := a.granted(session, 1, "x")
	unary := api.NewDRPCConchClient(dialDRPC(t, c.address(0)))
	ended := make(chan error, 1)
	go func() {
		_, err := unary.Acquire(context.Background(), acquire(session, 2, "x"))
		ended <- err
	}()
	eventually(t, "a waiter", func() bool {
		return a.must(&api.Request{Op: &api.Request_Status{Status: &api.StatusRequest{}}}).GetStatus().GetWaiters() == 1
	})
	stop(t, c.nodes[0])
	if err := <-ended; err == nil {
		t.Error("a call was answered without a decision")
	}
	if err := c.nodes[0].Err(); err != nil {
		t.Errorf("after a stop: %v", err)
	}
	if _, err := net.Dial("tcp", c.address(0)); err == nil {
		t.Error("the port still takes connections")
	}
	s := c.start(0, nil)
	waitReady(t, s)
	b := connect(t, s.ClientAddress())
	if again := b.granted(session, 1, "x"); again.GetToken() != grant.GetToken() {
		t.Errorf("token %d after the restart, want %d", again.GetToken(), grant.GetToken())
	}
}

// TestFailedSync: a log that cannot be made durable ends the node, with the
// reason.
func TestFailedSync(t *testing.T) {
	boom := errors.New("boom")
	var broken brokenSync
	broken.err = boom
	c := newCluster(t, 1, func(cfg *Config) { cfg.FS = &broken })
	a := connect(t, c.address(0))
	session := a.open(time.Minute)
	broken.arm()
	id := a.send(&api.Request{Op: &api.Request_Acquire{Acquire: acquire(session, 1, "x")}})
	select {
	case <-c.nodes[0].Done():
	case <-time.After(patience):
		t.Fatal("the node goes on without a log")
	}
	if err := c.nodes[0].Err(); !errors.Is(err, boom) {
		t.Errorf("it ended with %v, want %v", err, boom)
	}
	a.over()
	a.mu.Lock()
	for _, r := range a.answers[id] {
		if r.GetError() == nil {
			t.Errorf("answered %v, which is not on disk", r)
		}
	}
	a.mu.Unlock()
	c.nodes[0] = nil
}

// brokenSync is a file system whose syncs fail once it is armed.
type brokenSync struct {
	disk.OS
	err error

	mu    sync.Mutex
	armed bool
}

func (b *brokenSync) arm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = true
}

func (b *brokenSync) Create(name string) (disk.File, error) {
	f, err := b.OS.Create(name)
	return brokenFile{f, b}, err
}

func (b *brokenSync) Open(name string) (disk.File, error) {
	f, err := b.OS.Open(name)
	return brokenFile{f, b}, err
}

type brokenFile struct {
	disk.File
	fs *brokenSync
}

func (f brokenFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.armed {
		return f.fs.err
	}
	return f.File.Sync()
}

// TestPanic: a defect in serving one request is that request's end alone.
func TestPanic(t *testing.T) {
	c := newCluster(t, 1, nil)
	a := connect(t, c.address(0))
	l := c.nodes[0].loop
	answered := make(chan *api.Response, 1)
	broken := &call{method: methodStatus, load: l.load, answer: func(r *api.Response) { answered <- r }}
	if e := l.admit(broken); e != nil {
		t.Fatal(e)
	}
	l.submit(item{call: broken, run: func() { panic("a test") }})
	if e := (<-answered).GetError(); e.GetCode() != api.Code_INTERNAL || e.GetDefinite() || !strings.Contains(e.GetMessage(), "a test") {
		t.Errorf("answer: %v", e)
	}
	a.put("k", "v")
}

func TestTLS(t *testing.T) {
	cert, pool := certificate(t)
	c := newCluster(t, 1, func(cfg *Config) { cfg.ClientTLS = &tls.Config{Certificates: []tls.Certificate{cert}} })
	raw, err := tls.Dial("tcp", c.address(0), &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	conn := drpcconn.New(drpcmigrate.NewHeaderConn(raw, drpcmigrate.DRPCHeader))
	t.Cleanup(func() { _ = conn.Close() })
	greet(t, conn).put("k", "v")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + c.address(0) + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(b) != "ok\n" {
		t.Errorf("readyz over TLS: %d %q", resp.StatusCode, b)
	}
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestLogNeverBlocks(t *testing.T) {
	gate := make(chan struct{})
	var got strings.Builder
	w := newLogWriter(writerFunc(func(p []byte) (int, error) {
		<-gate
		return got.Write(p)
	}))
	// One queue may be in the writer's hands, one waits.
	const lines = 2*maxLogLines + 100
	for range lines {
		if _, err := w.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
	}
	dropped := w.dropped.Load()
	if dropped < 100 || dropped > lines-maxLogLines {
		t.Errorf("%d lines dropped of %d, %d have room", dropped, lines, maxLogLines)
	}
	close(gate)
	w.close()
	if n := strings.Count(got.String(), "\n"); n != lines-int(dropped) {
		t.Errorf("%d lines written, %d dropped", n, dropped)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestBootRises(t *testing.T) {
	dir := t.TempDir()
	for want := range uint32(3) {
		boot, err := nextBoot(disk.OS{}, dir)
		if err != nil || boot != want+1 {
			t.Errorf("start %d: %d, %v", want+1, boot, err)
		}
	}
}
