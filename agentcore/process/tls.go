package process

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddypki"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/caddyserver/certmagic"
	"github.com/gofrs/flock"

	"sharetray/agentcore/share"
	"sharetray/assets/pages"
)

// secured is what a stage needs to serve https. The zero value is http.
type secured struct {
	how       share.TLS
	cert, key string   // paths, for share.OwnTLS
	authority string   // folder of this computer's own authority, for share.LocalTLS
	names     []string // for which it is to have certificates
}

func (s secured) on() bool { return s.how == share.LocalTLS || s.how == share.OwnTLS }

// authorityID names the authority among Caddy's; it is part of a path.
const authorityID = "local"

// configure has the server of a configuration speak https only.
func (s secured) configure(cfg *caddy.Config, server *caddyhttp.Server, app *caddytls.TLS, warnings *[]caddyconfig.Warning) {
	if !s.on() {
		return
	}
	server.Protocols = []string{"h1", "h2"}
	policy := &caddytls.ConnectionPolicy{}
	server.TLSConnPolicies = caddytls.ConnectionPolicies{policy}
	if s.how == share.OwnTLS {
		app.CertificatesRaw = caddy.ModuleMap{"load_files": caddyconfig.JSON([]caddytls.CertKeyFilePair{{Certificate: s.cert, Key: s.key}}, warnings)}
		return
	}
	policy.DefaultSNI = s.names[0] // for who asks by an address that the certificates don't have
	app.CertificatesRaw = caddy.ModuleMap{"automate": caddyconfig.JSON(s.names, warnings)}
	app.Automation = &caddytls.AutomationConfig{Policies: []*caddytls.AutomationPolicy{{
		IssuersRaw: []json.RawMessage{caddyconfig.JSONModuleObject(caddytls.InternalIssuer{
			CA: authorityID, Lifetime: caddy.Duration(5 * 24 * time.Hour), // its own is 12 hours, of an intermediate one's 7 days
		}, "module", "internal", warnings)},
	}}}
	cfg.AppsRaw["pki"] = authorityApp(warnings)
	cfg.StorageRaw = caddyconfig.JSONModuleObject(struct {
		Root string `json:"root"`
	}{s.authority}, "module", "file_system", warnings)
}

// authorityApp is Caddy's pki app with this computer's own authority.
func authorityApp(warnings *[]caddyconfig.Warning) json.RawMessage {
	never := false
	return caddyconfig.JSON(caddypki.PKI{CAs: map[string]*caddypki.CA{authorityID: {
		Name: "Sharetray", RootCommonName: "Sharetray on " + hostName(), IntermediateCommonName: "Sharetray", InstallTrust: &never,
	}}}, warnings)
}

// lock keeps two processes from making an authority each, when there is none
// yet. The error says why there can't be one.
func (s secured) lock() (unlock func(), err error) {
	if s.how != share.LocalTLS {
		return func() {}, nil
	}
	if err := os.MkdirAll(s.authority, 0o700); err != nil {
		return nil, fmt.Errorf("there is no place for certificates: %w", err)
	}
	l := flock.New(filepath.Join(s.authority, "lock"))
	if err := l.Lock(); err != nil {
		return nil, fmt.Errorf("the certificates can't be used: %w", err)
	}
	return func() { _ = l.Unlock() }, nil
}

// root is the certificate of the authority, in PEM.
func (s secured) root() ([]byte, error) {
	return os.ReadFile(filepath.Join(s.authority, filepath.FromSlash("pki/authorities/"+authorityID+"/root.crt")))
}

// fingerprint is how people compare certificates.
func fingerprint(certificate []byte) string {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// certifiable are the names and addresses for which a share has certificates.
func certifiable(lns []net.Listener, hosts []string) []string {
	names := append([]string{"localhost"}, localNames()...)
	for _, ln := range lns {
		if a, ok := ln.Addr().(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
			names = append(names, a.IP.String())
		}
	}
	var good []string
	for _, n := range append(names, hosts...) {
		if certmagic.SubjectQualifiesForCert(n) {
			good = append(good, n)
		}
	}
	return good
}

// rootPath is where the authority's certificate is handed out.
const rootPath = "/sharetray-root.crt"

// greetTimeout bounds how long somebody who speaks http to an https share may
// take.
const greetTimeout = 10 * time.Second

// secureListener lets connections through that speak TLS, and answers those that
// speak http itself: with the way to https, and the authority's certificate.
type secureListener struct {
	net.Listener
	answer http.Handler
}

// Accept returns the next connection, whatever it speaks.
func (ln secureListener) Accept() (net.Conn, error) {
	c, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &secureConn{Conn: c, answer: ln.answer}, nil
}

// secureConn finds out with the first byte what a connection speaks.
type secureConn struct {
	net.Conn
	answer http.Handler
	known  bool
}

// tlsHandshake is the first byte of a TLS connection (RFC 8446, 5.1).
const tlsHandshake = 0x16

// Read ends the connection of a visitor who speaks http, after an answer.
func (c *secureConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.known || n == 0 {
		return n, err
	}
	c.known = true
	if p[0] == tlsHandshake {
		return n, err
	}
	c.greet(bytes.Clone(p[:n]))
	return 0, io.EOF
}

func (c *secureConn) greet(begun []byte) {
	_ = c.SetDeadline(time.Now().Add(greetTimeout))
	from := io.LimitReader(io.MultiReader(bytes.NewReader(begun), c.Conn), 64<<10)
	r, err := http.ReadRequest(bufio.NewReader(from))
	if err != nil {
		return
	}
	r.RemoteAddr = c.RemoteAddr().String()
	w := &plainAnswer{header: http.Header{}}
	c.answer.ServeHTTP(w, r)
	w.header.Set("Connection", "close")
	w.header.Set("Content-Length", strconv.Itoa(w.body.Len()))
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\n", w.status, http.StatusText(w.status))
	_ = w.header.Write(&out)
	out.WriteString("\r\n")
	if r.Method != http.MethodHead {
		_, _ = w.body.WriteTo(&out)
	}
	_, _ = out.WriteTo(c.Conn)
}

// plainAnswer is a small answer, whole.
type plainAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *plainAnswer) Header() http.Header { return w.header }

func (w *plainAnswer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *plainAnswer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// isSecure reports whether https is spoken at one of the stage's addresses.
func (s *stage) isSecure(address string) bool {
	for _, site := range s.sites {
		if slices.Contains(site.Listen, address) {
			return len(site.TLSConnPolicies) > 0
		}
	}
	return false
}

// greet answers who speaks http where https is spoken.
func (s *stage) greet(w http.ResponseWriter, r *http.Request) {
	if !s.answersProbe(w, r) {
		s.secured.welcome(w, r)
	}
}

// welcome answers who speaks http: it hands out the authority's certificate, tells
// people about it, and sends programs on.
func (s secured) welcome(w http.ResponseWriter, r *http.Request) {
	to := "https://" + r.Host + r.URL.RequestURI()
	if s.how == share.LocalTLS {
		root, err := s.root()
		switch {
		case err == nil && r.URL.Path == rootPath:
			handOut(w, root)
			return
		case err == nil && wantsPage(r):
			answerPage(w, r, http.StatusOK, pages.Page{
				Title: "This share is encrypted",
				Text: "Its certificate is of this computer's own making, so your browser does not know it yet. You can go on past its warning, " +
					"or install the certificate of its authority first, if you know whose computer this is. Fingerprint (SHA-256): " + fingerprint(root),
				Links: []pages.Link{{Text: "Go on, encrypted", To: to}, {Text: "Get the certificate", To: rootPath}},
			})
			return
		}
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusPermanentRedirect)
}

func handOut(w http.ResponseWriter, root []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/x-x509-ca-cert")
	h.Set("Content-Disposition", `attachment; filename="sharetray-root.crt"`)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(root)
}

// hostName is this computer's own, for people.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "this computer"
	}
	return name
}

// localNames are the names by which this computer is known in its networks.
func localNames() []string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return nil
	}
	short, _, _ := strings.Cut(strings.ToLower(name), ".")
	names := []string{short + ".local", short}
	if full := strings.ToLower(name); full != short {
		names = append(names, full)
	}
	return names
}
