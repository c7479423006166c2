package process

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/logfile"
	"sharetray/agentcore/process/access"
	"sharetray/agentcore/share"
	"sharetray/assets/pages"
)

// newGuard makes the guard of a share.
func newGuard(m link.Serve) (*access.Guard, error) {
	s := m.Share
	networks, err := access.ParseNetworks(s.Networks.Values())
	if err != nil {
		return nil, err
	}
	rules := access.Rules{
		Name: s.Name.String(), Users: usersOf(s), Secret: s.Secret, Networks: networks, Hosts: s.Hosts.Values(),
		Local: localNames(), Port: s.Port, Secure: s.TLS == share.LocalTLS || s.TLS == share.OwnTLS,
	}
	if s.Expires != 0 {
		rules.Expires = time.Unix(int64(s.Expires), 0)
	}
	if m.Log.Path == "" || !s.Kind.HasFolder() {
		return access.New(rules, nil), nil
	}
	// Beside the log: it goes with the share.
	tally := filepath.Join(filepath.Dir(m.Log.Path), logfile.TallyName)
	if s.Downloads == 0 {
		err = access.Forget(tally)
	} else {
		rules.Tally, err = access.OpenTally(tally, s.Downloads)
	}
	if err != nil {
		slog.Warn("the number of downloads is not known", "error", err)
	}
	return access.New(rules, nil), nil
}

// usersOf are a share's users and the hashes of their passwords.
func usersOf(s share.Share) map[string][]byte {
	users := map[string][]byte{}
	for _, u := range s.Users.Values() {
		name, hash, _ := strings.Cut(u, ":")
		users[name] = []byte(hash)
	}
	return users
}

// prefixKey is where a request's context has what the guard took from the front
// of its path.
type prefixKey struct{}

// prefixOf is how the path begins by which the visitor came, before what
// handlers see of it.
func prefixOf(r *http.Request) string {
	prefix, _ := r.Context().Value(prefixKey{}).(string)
	return prefix
}

// admit has the guard judge a request, and answers those that may not go on. What
// it returns goes on in place of r.
func (s *stage) admit(w http.ResponseWriter, r *http.Request) (in *http.Request, user string) {
	v := s.guard.Admit(w, r)
	switch {
	case v.Status == 0 && v.Prefix != "":
		return r.WithContext(context.WithValue(r.Context(), prefixKey{}, v.Prefix)), v.User
	case v.Status == 0:
		return r, v.User
	case v.Status == http.StatusPermanentRedirect: // it was answered
		return nil, ""
	case v.Status == access.Outside: // no more than that
		w.Header().Set("Content-Length", "0")
		w.Header().Set("Connection", "close")
		w.WriteHeader(v.Status)
		return nil, ""
	case v.Status == access.TooMany:
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(v.Retry.Seconds()))))
	}
	answerPage(w, r, v.Status, guardPages[v.Status])
	return nil, ""
}

var guardPages = map[int]pages.Page{
	access.Unauthorized: {Title: "This needs a name and a password", Text: "Ask whoever gave you the link for them."},
	access.NoSecret:     {Title: "This link is not whole", Text: "The link to this share ends in a secret. Open the whole link, as you were given it."},
	access.Misdirected: {Title: "This share is not known by that name",
		Text: "Open it by the address that its owner sees. The owner can allow a name with: sharetray set NAME hosts=…"},
	access.Expired: {Title: "This share has expired", Text: "Its owner has set an end to it. Ask for a new link if you still need it."},
	access.TooMany: {Title: "Too many wrong passwords", Text: "Wait a moment, then try again."},
}

// expired says, as a sentence, why visitors are turned away at the end of the
// share; "" is not yet.
func (s *stage) expired() string {
	why := s.guard.Ended()
	if why == "" {
		return ""
	}
	return fmt.Sprintf("it %s: give it another end with `sharetray set`, or expires=never and downloads=0", why)
}

// tellEnd has it told when the share expires. Connections that may last for days end
// then, too; requests finish.
func (p *process) tellEnd(st *stage, s share.Share) {
	if s.Expires == 0 {
		return
	}
	const longest = time.Hour // clocks are set
	var look func()
	look = func() {
		left := time.Until(time.Unix(int64(s.Expires), 0))
		if left <= 0 {
			p.targetChanged()
			if c, ok := st.kind.(carrier); ok {
				c.cut()
			}
			return
		}
		time.AfterFunc(min(left, longest), look)
	}
	look()
}

// countDownload has downloads counted, of which there may be a number.
func countDownload(t *access.Tally, ended func()) func() (func(bool), bool) {
	return func() (func(bool), bool) {
		end, ok := t.Begin()
		if !ok {
			return nil, false
		}
		return func(whole bool) {
			if err := end(whole); err != nil {
				slog.Error("a download is counted until this process ends only", "error", err)
			}
			if t.Ended() {
				ended()
			}
		}, true
	}
}
