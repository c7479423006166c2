package dav

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
)

// An If header is lists of conditions (RFC 4918, 10.4): one list must hold, a
// list holds if all that is in it does.
type ifList struct {
	tag        string // the address it is about; "" for the request's
	conditions []ifCondition
}

type ifCondition struct {
	not   bool
	token string
	etag  string
}

// maxIf bounds the lists, and the conditions of each: all may have to be tried.
const maxIf = 100

func parseIf(s string) (lists []ifList, ok bool) {
	tag := ""
	for {
		s = strings.TrimLeft(s, " \t")
		switch {
		case len(lists) > maxIf:
			return nil, false
		case s == "":
			return lists, len(lists) > 0
		case s[0] == '<':
			if tag, s, ok = strings.Cut(s[1:], ">"); !ok {
				return nil, false
			}
		case s[0] == '(':
			l := ifList{tag: tag}
			if l.conditions, s, ok = parseIfList(s[1:]); !ok {
				return nil, false
			}
			lists = append(lists, l)
		default:
			return nil, false
		}
	}
}

func parseIfList(s string) (all []ifCondition, rest string, ok bool) {
	not := false
	for {
		s = strings.TrimLeft(s, " \t")
		switch {
		case s == "" || len(all) > maxIf:
			return nil, "", false
		case s[0] == ')':
			return all, s[1:], len(all) > 0 && !not
		case len(s) > 3 && strings.EqualFold(s[:3], "not") && !not:
			not, s = true, s[3:]
		case s[0] == '<':
			token, after, found := strings.Cut(s[1:], ">")
			if !found {
				return nil, "", false
			}
			all, s, not = append(all, ifCondition{not: not, token: token}), after, false
		case s[0] == '[':
			etag, after, found := strings.Cut(s[1:], "]")
			if !found {
				return nil, "", false
			}
			all, s, not = append(all, ifCondition{not: not, etag: etag}), after, false
		default:
			return nil, "", false
		}
	}
}

// touches is what a request changes, as far as locks go.
type touches struct {
	name string
	tree bool // what is below it changes too
	made bool // its folder gains or loses it
}

// allowed looks at what stands against a request: locks whose tokens it does
// not bring, and its own conditions.
func (h *Handler) allowed(r *http.Request, root *os.Root, name string, changes ...touches) error {
	var lists []ifList
	if values := r.Header.Values("If"); len(values) > 0 {
		var ok bool
		if lists, ok = parseIf(strings.Join(values, " ")); !ok {
			return fail(http.StatusBadRequest, "The header If can't be understood.")
		}
	}
	var tokens []string
	for _, l := range lists {
		for _, c := range l.conditions {
			if c.token != "" && !c.not {
				tokens = append(tokens, c.token)
			}
		}
	}
	if err := h.preconditions(r, root, name); err != nil {
		return err
	}
	if len(lists) > 0 && !slices.ContainsFunc(lists, func(l ifList) bool { return h.holds(r, root, name, l) }) {
		return changed
	}
	return h.unlocked(tokens, changes)
}

var changed = fail(http.StatusPreconditionFailed, "It is not as you last saw it any more: look again, then try again.")

// unlocked reports a lock on what changes that none of the tokens opens. One
// of several shared locks is enough.
func (h *Handler) unlocked(tokens []string, changes []touches) (err error) {
	h.locks.do(func() {
		if len(h.locks.byToken) == 0 {
			return
		}
		closed := func(found []*lock) {
			byName := map[string]bool{} // whether one of its locks is open
			for _, l := range found {
				byName[l.Name] = byName[l.Name] || slices.Contains(tokens, l.Token)
			}
			for name, open := range byName {
				if !open && err == nil {
					err = failXML(http.StatusLocked, "Somebody else is working on this: try again later.",
						"lock-token-submitted", name)
				}
			}
		}
		for _, c := range changes {
			found := h.locks.on(c.name)
			if c.tree {
				found = append(found, h.locks.within(c.name)...)
			}
			if c.made && c.name != "." {
				found = append(found, h.locks.on(path.Dir(c.name))...)
			}
			closed(found)
		}
	})
	return err
}

// holds evaluates one list of an If header.
func (h *Handler) holds(r *http.Request, root *os.Root, name string, l ifList) bool {
	if l.tag != "" {
		u, err := url.Parse(l.tag)
		if err != nil {
			return false
		}
		if name, err = h.named(r, u); err != nil {
			return false
		}
	}
	for _, c := range l.conditions {
		is := false
		if c.token != "" {
			h.locks.do(func() {
				k := h.locks.byToken[c.token]
				is = k != nil && k.Expires.After(h.locks.now()) && k.covers(name)
			})
		} else if info, err := h.stat(root, name); err == nil && !info.IsDir() {
			is = c.etag != "" && strings.TrimPrefix(c.etag, "W/") == etag(info)
		}
		if is == c.not {
			return false
		}
	}
	return true
}

// preconditions are If-Match, If-None-Match and their elders by date, of RFC 9110.
func (h *Handler) preconditions(r *http.Request, root *os.Root, name string) error {
	match, none := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	since := r.Header.Get("If-Unmodified-Since")
	if len(match) == 0 && len(none) == 0 && since == "" {
		return nil
	}
	info, err := h.stat(root, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there, tag := err == nil, ""
	if there && !info.IsDir() {
		tag = etag(info)
	}
	switch {
	case len(match) > 0 && !listsTag(match, tag, there, false):
		return changed
	case len(match) == 0 && since != "":
		if t, err := http.ParseTime(since); err == nil && there && info.ModTime().Unix() > t.Unix() {
			return changed
		}
	}
	if len(none) > 0 && listsTag(none, tag, there, true) {
		return fail(http.StatusPreconditionFailed, "There is something by that name already.")
	}
	return nil
}

// listsTag reports whether header lists tag. Commas within a tag are no
// concern: ours has none.
func listsTag(header []string, tag string, there, weak bool) bool {
	for _, line := range header {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if weak {
				one = strings.TrimPrefix(one, "W/")
			}
			if one == "*" && there || one == tag && tag != "" {
				return true
			}
		}
	}
	return false
}
