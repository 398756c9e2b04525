package sdk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// listen serves a fake node on a real socket of the loopback.
func listen(t *testing.T, conf *tls.Config) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeCell(t, "n1:1")
	f.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			far := conn
			if conf != nil {
				far = tls.Server(conn, conf)
			}
			f.wg.Go(func() { f.nodes["n1:1"].serve(far, &faultConn{Conn: far, node: f.nodes["n1:1"]}) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		f.wg.Wait()
	})
	return ln.Addr().String()
}

// certificate is one for 127.0.0.1, and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestRealSockets(t *testing.T) {
	cert, pool := certificate(t)
	server := &tls.Config{Certificates: []tls.Certificate{cert}}
	for _, tc := range []struct {
		name           string
		server, client *tls.Config
		want           string // in the error; empty: it works
	}{
		{name: "plain"},
		{name: "tls", server: server, client: &tls.Config{RootCAs: pool}},
		{name: "unknown authority", server: server, client: &tls.Config{RootCAs: x509.NewCertPool()}, want: "unknown authority"},
		{name: "tls to a plain port", client: &tls.Config{RootCAs: pool}, want: "TLS handshake"},
		{name: "plain to a tls port", server: server, want: "greeting"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel() // who is refused tries until the time is up, which is long enough for a slow machine
			c, err := Dial(t.Context(), Config{Endpoints: []string{listen(t, tc.server)}, TLS: tc.client, DialTimeout: 3 * time.Second})
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("Dial = %v, want an error that says %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, c)
			l := take(t, s, "job")
			if err := l.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHelloRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeCell(t, "n1:1")
		f.nodes["n1:1"].full = true
		cfg := f.config()
		cfg.Endpoints = cfg.Endpoints[:1]
		_, err := Dial(t.Context(), cfg)
		want(t, "Dial to a node that is stopping", err, ErrUnavailable)
		f.nodes["n1:1"].full = false
		cfg.Cell = "other"
		_, err = Dial(t.Context(), cfg)
		want(t, "Dial to another cell", err, ErrCellNotFound)
		f.wg.Wait()
	})
}
