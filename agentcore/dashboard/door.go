package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/store"
)

const (
	tokenLife   = time.Minute         // how long an address with a token may be opened
	sessionLife = 30 * 24 * time.Hour // how long a browser is known without having come
	maxTokens   = 100                 // that were made and not used
)

// door lets in who was sent here by the tray or the command line, and nobody else:
// their address has a token that is good once, for which the browser gets a cookie
// that no other site can make it send.
type door struct {
	kept kept
	path string

	mu     sync.Mutex
	tokens map[string]time.Time // until when each is good
	host   string               // by which browsers must ask: 127.0.0.1:PORT
}

// kept is what outlives an agent, so that an open page goes on with the next one.
type kept struct {
	Port uint16 `json:"port"`
	Key  []byte `json:"key"` // signs sessions
}

// openDoor reads what was kept at path. What can't be read is made anew: whoever
// had a page open then opens it again.
func openDoor(path string) (*door, error) {
	d := &door{path: path, tokens: map[string]time.Time{}}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	if json.Unmarshal(data, &d.kept) != nil || len(d.kept.Key) < 32 {
		d.kept.Key = make([]byte, 32)
		_, _ = rand.Read(d.kept.Key) // never fails
	}
	return d, nil
}

// opened notes where the dashboard listens.
func (d *door) opened(port uint16) error {
	d.mu.Lock()
	d.host = "127.0.0.1:" + strconv.Itoa(int(port))
	d.mu.Unlock()
	if d.kept.Port == port {
		if _, err := os.Stat(d.path); err == nil {
			return nil
		}
	}
	d.kept.Port = port
	data, err := json.Marshal(d.kept)
	if err != nil {
		return err
	}
	return store.WriteFile(d.path, data, 0o600)
}

// address is one that opens the page at path, once and soon.
func (d *door) address(path string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for token, until := range d.tokens {
		if now.After(until) {
			delete(d.tokens, token)
		}
	}
	if len(d.tokens) >= maxTokens {
		clear(d.tokens) // whoever asks so often opens none of them
	}
	token := rand.Text()
	d.tokens[token] = now.Add(tokenLife)
	u := url.URL{Scheme: "http", Host: d.host, Path: "/enter/" + token}
	if path != "/" {
		u.RawQuery = url.Values{"to": {path}}.Encode()
	}
	return u.String()
}

// redeem reports whether token was good, which it is no more.
func (d *door) redeem(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.tokens[token]
	delete(d.tokens, token)
	return ok && !time.Now().After(until)
}

// cookie names the session. Cookies are not kept apart by port, so the name does it
// for the agents of several profiles.
func (d *door) cookie() string {
	_, port, _ := strings.Cut(d.host, ":")
	return link.DashboardCookie + port
}

// newSession is the cookie's value: when it was made, and the proof that it was here.
func (d *door) newSession(now time.Time) string {
	made := strconv.FormatInt(now.Unix(), 10) + "." + rand.Text()
	return made + "." + d.sign(made)
}

func (d *door) sign(made string) string {
	mac := hmac.New(sha256.New, d.kept.Key)
	mac.Write([]byte(made))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// known reports whether value is a session made here, and when.
func (d *door) known(value string, now time.Time) (made time.Time, ok bool) {
	at := strings.LastIndexByte(value, '.')
	if at < 0 || !hmac.Equal([]byte(d.sign(value[:at])), []byte(value[at+1:])) {
		return made, false
	}
	text, _, _ := strings.Cut(value, ".")
	seconds, err := strconv.ParseInt(text, 10, 64)
	made = time.Unix(seconds, 0)
	return made, err == nil && now.Sub(made) < sessionLife
}

func (d *door) setCookie(w http.ResponseWriter, now time.Time) {
	http.SetCookie(w, &http.Cookie{
		Name: d.cookie(), Value: d.newSession(now), Path: "/", MaxAge: int(sessionLife.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// renew makes the session of a browser that comes again anew, now and then.
func (d *door) renew(w http.ResponseWriter, r *http.Request, now time.Time) {
	c, err := r.Cookie(d.cookie())
	if err != nil {
		return
	}
	if made, ok := d.known(c.Value, now); ok && now.Sub(made) > sessionLife/10 {
		d.setCookie(w, now)
	}
}

// refusal is why a request gets no answer but a page that says so.
type refusal struct {
	status int
	key    string // of the words
}

var (
	wrongHost = &refusal{http.StatusMisdirectedRequest, "page.refused_host"}
	foreign   = &refusal{http.StatusForbidden, "page.refused_site"}
	stranger  = &refusal{http.StatusUnauthorized, "page.refused_session"}
	other     = &refusal{http.StatusForbidden, "page.refused_user"}
)

// otherUser is the key by which a connection's context says that it comes from
// another user of this computer: browsers send cookies to every port, so another
// user's server may have learnt this user's.
type otherUser struct{}

// judge says why a request is refused, or nil. Each is looked at, those that only
// ask for a page too.
func (d *door) judge(r *http.Request) *refusal {
	if is, _ := r.Context().Value(otherUser{}).(bool); is {
		return other
	}
	if r.Host != d.host { // a name that leads here is somebody else's: DNS rebinding
		return wrongHost
	}
	switch origin := r.Header.Get("Origin"); {
	case origin != "" && origin != "http://"+d.host:
		return foreign
	case origin == "" && !isReading(r.Method) && r.Header.Get("Sec-Fetch-Site") != "same-origin":
		return foreign
	}
	// "none" is an address that was typed, a bookmark, or one that a program has opened.
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return foreign
	}
	if r.Header.Get("Sec-Fetch-Dest") == "iframe" || r.Header.Get("Sec-Fetch-Dest") == "frame" {
		return foreign
	}
	if strings.HasPrefix(r.URL.Path, "/enter/") || isPublic(r.URL.Path) {
		return nil
	}
	if c, err := r.Cookie(d.cookie()); err == nil {
		if _, ok := d.known(c.Value, time.Now()); ok {
			return nil
		}
	}
	return stranger
}

func isReading(method string) bool { return method == http.MethodGet || method == http.MethodHead }
