// Package access decides who may reach a share: by network, by the name it is
// asked for, by password or secret link, and until when.
//
// It must not know what is shared, nor how an answer looks: it gives verdicts,
// of which others make pages.
package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sharetray/agentcore/password"
)

// Rules are who may reach a share. The zero value lets everybody in who asks for
// this computer by one of its own names.
type Rules struct {
	Name     string            // of the share, shown to who is asked for a password
	Users    map[string][]byte // bcrypt hashes by name; none: no password
	Secret   string            // of the link that opens it, too; "": there is none
	Networks Networks
	Hosts    []string // names that it answers to besides this computer's; "*.a.org" are all below a.org
	Local    []string // this computer's names
	Expires  time.Time
	Tally    *Tally // nil: any number of downloads
	Port     uint16 // of the share: cookies don't tell ports apart
	Secure   bool   // https is spoken: so are cookies
}

// Guard applies rules. It is safe for concurrent use.
type Guard struct {
	rules    Rules
	checker  *password.Checker
	throttle *Throttle
	cookie   string // its name, and what it must be
	pass     string
	open     bool // there is nothing to check but the host
	now      func() time.Time
}

// loginTime bounds how long somebody waits for his password to be compared.
const loginTime = 20 * time.Second

// New makes a guard. now is the clock, time.Now if nil.
func New(rules Rules, now func() time.Time) *Guard {
	if now == nil {
		now = time.Now
	}
	g := &Guard{rules: rules, now: now, throttle: NewThrottle(now), cookie: "sharetray_" + strconv.Itoa(int(rules.Port))}
	if len(rules.Users) > 0 {
		g.checker = password.NewChecker(rules.Users)
	}
	if rules.Secret != "" {
		// It lives as long as the secret, in whichever process.
		mac := hmac.New(sha256.New, []byte(rules.Secret))
		mac.Write([]byte("sharetray cookie"))
		g.pass = base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	g.open = g.checker == nil && rules.Secret == ""
	return g
}

// Verdict says what becomes of a request.
type Verdict struct {
	Status int    // 0: it may go on
	User   string // who has logged in, if anybody has
	Prefix string // what was taken from the front of the path: "/s/SECRET"
	// Retry is with 429: when another password may be tried.
	Retry time.Duration
}

// Verdicts' statuses.
const (
	Unauthorized = http.StatusUnauthorized       // the header that asks for a password is set
	NoSecret     = http.StatusNotFound           // only the whole link opens it
	Outside      = http.StatusForbidden          // not from an allowed network
	Misdirected  = http.StatusMisdirectedRequest // asked for by a name that is not its own
	Expired      = http.StatusGone
	TooMany      = http.StatusTooManyRequests // wrong passwords
)

// secretPath is what comes before the secret in a link.
const secretPath = "/s/"

// Admit judges a request. Of one that may go on, it takes what was for the guard:
// the secret from its path, and its own password and cookie from the headers.
func (g *Guard) Admit(w http.ResponseWriter, r *http.Request) Verdict {
	addr := remote(r)
	switch {
	case !g.rules.Networks.Allow(addr):
		return Verdict{Status: Outside}
	// Who has no password can't be lent one by a page that has this computer's
	// address under another name: only an open share has to look at the name.
	case g.open && !g.knows(r.Host):
		return Verdict{Status: Misdirected}
	case g.Ended() != "":
		return Verdict{Status: Expired}
	case g.open:
		return Verdict{}
	}
	if v, decided := g.bySecret(w, r, addr); decided {
		return v
	}
	return g.byPassword(w, r, addr)
}

// Tally is what downloads are counted by; nil: they are not.
func (g *Guard) Tally() *Tally { return g.rules.Tally }

// Ended says why nobody is let in any more, in words that complete "it …"; "" if
// that is not so.
func (g *Guard) Ended() string {
	switch {
	case !g.rules.Expires.IsZero() && !g.now().Before(g.rules.Expires):
		return "has expired on " + g.rules.Expires.Local().Format("2006-01-02 15:04")
	case g.rules.Tally != nil && g.rules.Tally.Ended():
		return "was meant for a number of downloads, and they are done"
	}
	return ""
}

// bySecret lets in who has the link, or the cookie that it left.
func (g *Guard) bySecret(w http.ResponseWriter, r *http.Request, addr netip.Addr) (v Verdict, decided bool) {
	if g.rules.Secret == "" {
		return v, false
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, secretPath); ok {
		given, after, whole := strings.Cut(rest, "/")
		switch {
		case subtle.ConstantTimeCompare([]byte(given), []byte(g.rules.Secret)) != 1:
			if g.hasCookie(r) || r.Header["Authorization"] != nil {
				break // who is in may have a folder of that name
			}
			if wait := g.throttle.Slow(addr); wait > 0 {
				return Verdict{Status: TooMany, Retry: wait}, true
			}
			g.throttle.failed(addr)
		case !whole:
			http.Redirect(w, r, secretPath+given+"/", http.StatusPermanentRedirect)
			return Verdict{Status: http.StatusPermanentRedirect}, true
		default:
			g.leaveCookie(w)
			prefix := secretPath + given
			strip(r, prefix, "/"+after)
			g.clean(r, false)
			return Verdict{Prefix: prefix}, true
		}
	}
	if g.hasCookie(r) {
		g.clean(r, false)
		return Verdict{}, true
	}
	if g.checker == nil {
		return Verdict{Status: NoSecret}, true
	}
	return v, false
}

// strip takes the secret out of a request's path.
func strip(r *http.Request, prefix, path string) {
	u := new(url.URL)
	*u = *r.URL
	u.Path, u.RawPath = path, strings.TrimPrefix(u.RawPath, prefix)
	r.URL = u
	r.RequestURI = u.RequestURI()
}

func (g *Guard) byPassword(w http.ResponseWriter, r *http.Request, addr netip.Addr) Verdict {
	user, given, ok := r.BasicAuth()
	if !ok {
		return g.ask(w)
	}
	if !g.checker.Known(user, []byte(given)) {
		ctx, cancel := context.WithTimeout(r.Context(), loginTime)
		defer cancel()
		right, err := g.checker.Match(ctx, user, []byte(given), func() error { return g.throttle.Wait(ctx, addr) })
		var slow Slow
		switch {
		case errors.As(err, &slow):
			return Verdict{Status: TooMany, Retry: slow.For}
		case err != nil:
			return Verdict{Status: TooMany, Retry: time.Second}
		case !right:
			return g.ask(w)
		}
		g.throttle.Tried(addr, true)
	}
	g.clean(r, true)
	return Verdict{User: user}
}

func (g *Guard) ask(w http.ResponseWriter) Verdict {
	realm := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '_'
		}
		return c
	}, g.rules.Name)
	w.Header().Set("WWW-Authenticate", `Basic realm="`+realm+`", charset="UTF-8"`)
	return Verdict{Status: Unauthorized}
}

func (g *Guard) leaveCookie(w http.ResponseWriter) {
	c := http.Cookie{Name: g.cookie, Value: g.pass, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: g.rules.Secure}
	if !g.rules.Expires.IsZero() {
		c.Expires = g.rules.Expires
	}
	w.Header().Add("Set-Cookie", c.String())
	w.Header().Set("Referrer-Policy", "same-origin") // the link is the password
}

func (g *Guard) hasCookie(r *http.Request) bool {
	c, err := r.Cookie(g.cookie)
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.pass)) == 1
}

// clean takes from a request what an app behind the share need not know.
func (g *Guard) clean(r *http.Request, password bool) {
	if password {
		r.Header.Del("Authorization")
	}
	if g.rules.Secret == "" || r.Header["Cookie"] == nil {
		return
	}
	cookies := r.Cookies()
	r.Header.Del("Cookie")
	for _, c := range cookies {
		if c.Name != g.cookie {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted})
		}
	}
}

func remote(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}
