package process

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// trusting is a client that trusts one certificate.
func trusting(t *testing.T, root []byte) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		t.Fatalf("no certificate: %s", root)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	return &http.Client{Transport: tr, Timeout: patience}
}

func fetch(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestLocalTLS: https with this computer's own authority, whose certificate is
// handed out to who speaks http; it is the same over processes.
func TestLocalTLS(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"a": "hello"})
	authority := filepath.Join(t.TempDir(), "authority")
	var root string
	for range 2 {
		p := startChild(t)
		p.hello()
		sock := listen(t)
		p.addr = sock.Addr().String()
		m := p.message(share.Share{Kind: share.Web, Target: dir, TLS: share.LocalTLS})
		m.Serve.Authority = authority
		p.mustAsk(m, sock)
		page := p.get("/a", "Accept: text/html")
		if page.StatusCode != 200 || !strings.Contains(page.body, "https://"+p.addr+"/a") || !strings.Contains(page.body, `href="`+rootPath+`"`) {
			t.Errorf("%d %s", page.StatusCode, page.body)
		}
		if a := p.get("/a?b"); a.StatusCode != 308 || a.Header.Get("Location") != "https://"+p.addr+"/a?b" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		cert := p.get(rootPath)
		if root == "" {
			root = cert.body
		}
		if cert.body != root || !strings.Contains(page.body, fingerprint([]byte(root))) {
			t.Errorf("another authority: %s", cert.body)
		}
		_, port, _ := strings.Cut(p.addr, ":")
		for _, host := range []string{p.addr, "localhost:" + port} {
			eventually(t, "a certificate of "+host, func() bool { // each has its own
				_, err := trusting(t, []byte(root)).Get("https://" + host + "/a")
				return err == nil
			})
			if status, body := fetch(t, trusting(t, []byte(root)), "https://"+host+"/a"); status != 200 || body != "hello" {
				t.Errorf("%s: %d %s", host, status, body)
			}
		}
		if a := p.get("/", link.ProbeHeader+": "+p.probe); a.Header.Get(link.NonceHeader) != p.nonce {
			t.Errorf("a probe in http: %d", a.StatusCode)
		}
		p.raw("neither\r\n\r\n")
		if status, _ := fetch(t, trusting(t, []byte(root)), "https://"+p.addr+"/a"); status != 200 {
			t.Errorf("afterwards: %d", status)
		}
	}
}

func TestOwnTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certificate(t)
	p := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "hello"}), TLS: share.OwnTLS, TLSCert: certFile, TLSKey: keyFile})
	if status, body := fetch(t, trusting(t, []byte(readFile(t, certFile))), p.url("/a")[:4]+"s"+p.url("/a")[4:]); status != 200 || body != "hello" {
		t.Errorf("%d %s", status, body)
	}
	if a := p.get(rootPath); a.StatusCode != 308 {
		t.Errorf("%d", a.StatusCode)
	}
}

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert"), filepath.Join(dir, "key")
}
