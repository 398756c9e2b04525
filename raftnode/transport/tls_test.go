package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/conch-lock/conch/raftnode"
)

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// configure gives a node a certificate that names it, and demands one of others.
func (a *authority) configure(t *testing.T, trust *authority, id raftnode.NodeID) func(*Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: fmt.Sprintf("node-%v", id)}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pair := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return func(c *Config) {
		c.ServerTLS = &tls.Config{Certificates: pair, ClientCAs: trust.pool, ClientAuth: tls.RequireAndVerifyClientCert}
		c.ClientTLS = &tls.Config{Certificates: pair, RootCAs: trust.pool}
		c.VerifyPeer = func(id raftnode.NodeID, state tls.ConnectionState) error {
			if name := state.PeerCertificates[0].Subject.CommonName; name != fmt.Sprintf("node-%v", id) {
				return fmt.Errorf("it names %s", name)
			}
			return nil
		}
	}
}

func TestMutualTLS(t *testing.T) {
	checkLeaks(t)
	ca := newAuthority(t)
	a, b := start(t, 1, ca.configure(t, ca, 1)), start(t, 2, ca.configure(t, ca, 2))
	connect(t, a, b)
	for i := range uint64(100) {
		a.Send(1, heartbeat(1, 2, i))
	}
	for i := range uint64(100) {
		if got := receive(t, b.got, "a message"); got.msg.GetCommit() != i {
			t.Fatalf("got %v", got.msg)
		}
	}
	got := make(chan taken, 1)
	b.onSnapshot(takeInto(got))
	a.SendSnapshot(8, snapshotOf(1, 2, 42), newContent(1<<20, nil).open)
	if s := receive(t, got, "a snapshot"); s.err != nil || s.bytes != 1<<20 {
		t.Errorf("snapshot: %+v", s)
	}
	if end := receive(t, a.ended, "the end"); end.err != nil {
		t.Errorf("snapshot: %v", end.err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	receive(t, a.lost, "the loss")
}

func TestCertificatesAreChecked(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	for name, c := range map[string]struct {
		dialer func(*Config)
		want   string
	}{
		"signed by somebody else": {other.configure(t, ca, 1), "tls: "},
		"of another node":         {ca.configure(t, ca, 5), "the certificate is not that of node 1: it names node-5"},
		"no TLS":                  {nil, ""},
		"other side not trusted":  {ca.configure(t, other, 1), "certificate signed by unknown authority"},
		"other side another node": {func(c *Config) { ca.configure(t, ca, 1)(c); c.VerifyPeer = never }, "is not that of node 2: never"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, 1, c.dialer), start(t, 2, ca.configure(t, ca, 2))
			a.SetPeers(map[raftnode.NodeID]string{2: b.addr})
			a.waitFor(t, 2, "refused", func(s PeerStats) bool {
				return s.DialFailures > 0 && strings.Contains(s.LastError, c.want)
			})
			if s, _ := a.statsOf(2); s.Connects != 0 {
				t.Errorf("connected: %+v", s)
			}
		})
	}
}

func never(raftnode.NodeID, tls.ConnectionState) error { return fmt.Errorf("never") }
