package dav

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"sharetray/agentcore/process/intake"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxLocks     = 10_000
	maxLockBytes = 2 << 20 // of names and owners, all locks together
	maxOwner     = 2 << 10

	defaultLockLife = 10 * time.Minute
	maxLockLife     = time.Hour
)

// lock is one write lock. Locks are of names, not of files: RFC 4918 wants it
// so, and a name that leads elsewhere by a link is locked as itself.
type lock struct {
	Token   string        `json:"token"`
	Name    string        `json:"name"`
	Tree    bool          `json:"tree"`   // everything below it too
	Shared  bool          `json:"shared"` // others may lock it so too
	Owner   string        `json:"owner"`  // XML, as the client said
	Life    time.Duration `json:"life"`
	Expires time.Time     `json:"expires"`
}

func (l *lock) size() int { return len(l.Name) + len(l.Owner) }

// covers reports whether l locks name itself.
func (l *lock) covers(name string) bool {
	return fold(l.Name) == fold(name) || l.Tree && below(name, l.Name)
}

// below reports whether name is somewhere below folder.
func below(name, folder string) bool {
	name, folder = fold(name), fold(folder)
	return folder == "." && name != "." || strings.HasPrefix(name, folder+"/")
}

// fold makes names equal that the system usually takes for the same.
func fold(name string) string { return intake.Fold(name) }

// State keeps the locks over the life of one process. Save is called with all
// of them after every change, and should replace what was there whole or not
// at all; Load is called once, before the first lock is looked at.
type State interface {
	Load() ([]byte, error)
	Save([]byte) error
}

// StateFile is a State in a file by that name, which is private to its user.
type StateFile string

func (f StateFile) Load() ([]byte, error) {
	data, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save does not wait for the disk: it is the process that may end at any time,
// and locks that a power failure loses are locked anew.
func (f StateFile) Save(data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), string(f))
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

// locks is the table of locks: bounded, and none lives long after its client.
type locks struct {
	state State
	now   func() time.Time
	warn  func(what string, err error)

	mu      sync.Mutex
	loaded  bool
	byToken map[string]*lock
	byName  map[string][]*lock // by folded name
	bytes   int
	sweep   time.Time // when to look for expired ones next
	version int       // counts changes

	saving sync.Mutex
	saved  int // the version on disk
}

// do calls f with the table as it is now, then saves it if f changed it. Many
// that wait to be saved are saved at once.
func (t *locks) do(f func()) {
	t.mu.Lock()
	if !t.loaded {
		t.loaded = true
		t.load()
	}
	if now := t.now(); now.After(t.sweep) {
		t.sweep = now.Add(time.Minute)
		t.expire(now)
	}
	before := t.version
	f()
	after := t.version
	t.mu.Unlock()
	if after != before {
		t.save(after)
	}
}

func (t *locks) load() {
	t.byToken, t.byName = map[string]*lock{}, map[string][]*lock{}
	if t.state == nil {
		return
	}
	data, err := t.state.Load()
	var all []*lock
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		t.warn("the locks of an earlier process can't be read", err)
		return
	}
	now := t.now()
	for _, l := range all {
		if l != nil && l.Expires.After(now) && l.Expires.Before(now.Add(2*maxLockLife)) && len(t.byToken) < maxLocks {
			t.put(l)
		}
	}
}

func (t *locks) save(version int) {
	if t.state == nil {
		return
	}
	t.saving.Lock()
	defer t.saving.Unlock()
	if t.saved >= version {
		return
	}
	t.mu.Lock()
	version = t.version
	all := make([]lock, 0, len(t.byToken))
	for _, l := range t.byToken {
		all = append(all, *l)
	}
	t.mu.Unlock()
	data, err := json.Marshal(all)
	if err == nil {
		err = t.state.Save(data)
	}
	if err != nil {
		t.warn("the locks can't be saved", err)
		return
	}
	t.saved = version
}

func (t *locks) put(l *lock) {
	key := fold(l.Name)
	t.byToken[l.Token] = l
	t.byName[key] = append(t.byName[key], l)
	t.bytes += l.size()
	t.version++
}

func (t *locks) drop(l *lock) {
	key := fold(l.Name)
	delete(t.byToken, l.Token)
	if rest := slices.DeleteFunc(t.byName[key], func(x *lock) bool { return x == l }); len(rest) > 0 {
		t.byName[key] = rest
	} else {
		delete(t.byName, key)
	}
	t.bytes -= l.size()
	t.version++
}

func (t *locks) expire(now time.Time) {
	for _, l := range t.byToken {
		if !l.Expires.After(now) {
			t.drop(l)
		}
	}
}

// on returns the locks that cover name, its own and those of folders above.
func (t *locks) on(name string) (found []*lock) {
	now := t.now()
	for at := name; ; at = path.Dir(at) {
		for _, l := range t.byName[fold(at)] {
			if (at == name || l.Tree) && l.Expires.After(now) {
				found = append(found, l)
			}
		}
		if at == "." {
			return found
		}
	}
}

// within returns the locks on what is below name.
func (t *locks) within(name string) (found []*lock) {
	now := t.now()
	for _, l := range t.byToken {
		if below(l.Name, name) && l.Expires.After(now) {
			found = append(found, l)
		}
	}
	return found
}

// create adds a lock, or says which one is in its way.
func (t *locks) create(l lock) (made lock, err error) {
	t.do(func() {
		others := t.on(l.Name)
		if l.Tree {
			others = append(others, t.within(l.Name)...)
		}
		for _, o := range others {
			if !l.Shared || !o.Shared {
				err = failXML(http.StatusLocked, "Somebody else is working on this: try again later.",
					"no-conflicting-lock", o.Name)
				return
			}
		}
		if len(t.byToken) >= maxLocks || t.bytes+l.size() > maxLockBytes {
			t.expire(t.now())
			if len(t.byToken) >= maxLocks || t.bytes+l.size() > maxLockBytes {
				err = fail(http.StatusServiceUnavailable, "Too many files of this drive are locked: try again in some minutes.")
				return
			}
		}
		l.Token = newToken()
		l.Expires = t.now().Add(l.Life)
		t.put(&l)
		made = l
	})
	return made, err
}

// refresh has the lock that token names, and that covers name, live longer.
func (t *locks) refresh(tokens []string, name string, life time.Duration) (made lock, ok bool) {
	t.do(func() {
		for _, l := range t.on(name) {
			if slices.Contains(tokens, l.Token) {
				l.Life, l.Expires = life, t.now().Add(life)
				t.version++
				made, ok = *l, true
				return
			}
		}
	})
	return made, ok
}

func (t *locks) remove(token, name string) (ok bool) {
	t.do(func() {
		for _, l := range t.on(name) {
			if l.Token == token {
				t.drop(l)
				ok = true
			}
		}
	})
	return ok
}

// forget drops the locks of what is not there any more.
func (t *locks) forget(name string, itself bool) {
	t.do(func() {
		for _, l := range t.byToken {
			if below(l.Name, name) || itself && fold(l.Name) == fold(name) {
				t.drop(l)
			}
		}
	})
}

// discover is the value of the property lockdiscovery.
func (t *locks) discover(base, name string) string {
	var b strings.Builder
	t.do(func() {
		for _, l := range t.on(name) {
			b.WriteString(l.xml(base))
		}
	})
	return b.String()
}

func (l *lock) xml(base string) string {
	scope, depth := "exclusive", "0"
	if l.Shared {
		scope = "shared"
	}
	if l.Tree {
		depth = "infinity"
	}
	owner := ""
	if l.Owner != "" {
		owner = "<D:owner>" + l.Owner + "</D:owner>"
	}
	return fmt.Sprintf(`<D:activelock><D:locktype><D:write/></D:locktype><D:lockscope><D:%s/></D:lockscope>`+
		`<D:depth>%s</D:depth>%s<D:timeout>Second-%d</D:timeout><D:locktoken><D:href>%s</D:href></D:locktoken>`+
		`<D:lockroot><D:href>%s</D:href></D:lockroot></D:activelock>`,
		scope, depth, owner, l.Life/time.Second, escape(l.Token), escape(href(base, l.Name, false)))
}

func newToken() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("opaquelocktoken:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// lockLife is how long a lock shall live for which a client asks for header.
func lockLife(header string) time.Duration {
	for want := range strings.SplitSeq(header, ",") {
		want = strings.TrimSpace(want)
		if strings.EqualFold(want, "infinite") {
			return maxLockLife
		}
		var seconds int64
		if n, _ := fmt.Sscanf(want, "Second-%d", &seconds); n == 1 && seconds > 0 {
			return min(time.Duration(min(seconds, 1<<31))*time.Second, maxLockLife)
		}
	}
	return defaultLockLife
}
