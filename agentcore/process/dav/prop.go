package dav

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxAsked bounds the properties of one request: each is answered for each file.
const maxAsked = 256

// resource is something that properties are asked of.
type resource struct {
	h    *Handler
	root *os.Root
	base string
	name string
	real string
	info fs.FileInfo
}

// A live property is computed; ok is false where a resource has none.
type live struct {
	local string
	all   bool // allprop includes it
	value func(resource) (value string, ok bool)
}

var liveProperties = []live{
	{"resourcetype", true, func(r resource) (string, bool) {
		if r.info.IsDir() {
			return "<D:collection/>", true
		}
		return "", true
	}},
	{"displayname", true, func(r resource) (string, bool) {
		if r.name == "." {
			return "", true // the folder's own name is nobody's business
		}
		return escape(path.Base(r.name)), true
	}},
	{"getcontentlength", true, func(r resource) (string, bool) {
		return strconv.FormatInt(r.info.Size(), 10), !r.info.IsDir()
	}},
	{"getlastmodified", true, func(r resource) (string, bool) {
		return r.info.ModTime().UTC().Format(http.TimeFormat), true
	}},
	{"getcontenttype", true, func(r resource) (string, bool) {
		if r.info.IsDir() {
			return "", false
		}
		if t := mime.TypeByExtension(path.Ext(r.name)); t != "" {
			return escape(t), true
		}
		return "application/octet-stream", true // looking into each file would cost too much
	}},
	{"getetag", true, func(r resource) (string, bool) {
		tag := etag(r.info)
		return tag, !r.info.IsDir() && tag != ""
	}},
	{"supportedlock", true, func(r resource) (string, bool) {
		return "<D:lockentry><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>" +
			"<D:lockentry><D:lockscope><D:shared/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>", r.h.o.Writable
	}},
	{"lockdiscovery", true, func(r resource) (string, bool) {
		return r.h.locks.discover(r.base, r.name), r.h.o.Writable
	}},
	{"quota-available-bytes", false, func(r resource) (string, bool) {
		free, err := r.h.intake.Room(r.root)
		return strconv.FormatInt(free, 10), err == nil && r.info.IsDir()
	}},
	// Not had, and not to be had by a client's saying so.
	{"creationdate", false, func(resource) (string, bool) { return "", false }},
	{"quota-used-bytes", false, func(resource) (string, bool) { return "", false }},
}

func liveProperty(name xml.Name) *live {
	if name.Space == nsDAV {
		for i := range liveProperties {
			if liveProperties[i].local == name.Local {
				return &liveProperties[i]
			}
		}
	}
	return nil
}

func (h *Handler) propfind(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	info, err := h.stat(root, name)
	if err != nil {
		return err
	}
	real, err := h.resolve(root, name, true)
	if err != nil {
		return err
	}
	depth := strings.ToLower(r.Header.Get("Depth"))
	switch depth {
	case "0", "1":
	case "", "infinity":
		if info.IsDir() {
			return failXML(http.StatusForbidden, "A drive is listed one folder at a time: ask for depth 0 or 1.",
				"propfind-finite-depth", "")
		}
	default:
		return fail(http.StatusBadRequest, "The header Depth is 0, 1 or infinity.")
	}
	q, err := readQuery(w, r)
	if err != nil {
		return err
	}
	m := &multistatus{w: w, base: h.base(r)}
	top := resource{h, root, m.base, name, real, info}
	q.answer(m, top)
	if depth == "1" && info.IsDir() {
		err = h.children(root, name, real, func(name, real string, info fs.FileInfo) error {
			q.answer(m, resource{h, root, m.base, name, real, info})
			return r.Context().Err()
		})
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			// Half a list must not look like a whole one.
			if r.Context().Err() == nil {
				h.o.Log.Warn("a folder could not be listed", "path", name, "error", err)
			}
			panic(http.ErrAbortHandler)
		}
	}
	return m.end()
}

// children calls f with what is in a folder and is no secret, in no order.
func (h *Handler) children(root *os.Root, name, real string, f func(name, real string, info fs.FileInfo) error) error {
	in, err := root.OpenRoot(real)
	if err != nil {
		return err
	}
	defer in.Close()
	dir, err := in.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(512)
		for _, e := range entries {
			if h.hidesElement(e.Name()) {
				continue
			}
			at := path.Join(real, e.Name())
			info, err := in.Lstat(e.Name())
			if err == nil && info.Mode()&fs.ModeSymlink != 0 {
				if at, err = h.resolve(root, at, true); err == nil {
					info, err = root.Lstat(at)
				}
			}
			if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
				continue // gone meanwhile, or no file or folder
			}
			if err := f(path.Join(name, e.Name()), at, info); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// query is what a PROPFIND asks for.
type query struct {
	all   bool
	names bool // only their names
	asked []xml.Name
	dead  bool // dead properties are needed to answer
}

func readQuery(w http.ResponseWriter, r *http.Request) (*query, error) {
	doc, err := document(w, r)
	if err != nil {
		return nil, err
	}
	if doc == nil {
		return &query{all: true, dead: true}, nil
	}
	bad := fail(http.StatusBadRequest, "The properties that are asked for can't be understood.")
	if doc.name != (xml.Name{Space: nsDAV, Local: "propfind"}) {
		return nil, bad
	}
	q := &query{all: doc.child("allprop") != nil, names: doc.child("propname") != nil}
	prop := doc.child("prop")
	forms := 0
	for _, there := range []bool{q.all, q.names, prop != nil} {
		if there {
			forms++
		}
	}
	if forms != 1 {
		return nil, bad
	}
	if q.all {
		prop = doc.child("include")
	}
	if prop != nil {
		for _, p := range prop.children {
			if !slices.Contains(q.asked, p.name) {
				q.asked = append(q.asked, p.name)
			}
		}
	}
	if len(q.asked) > maxAsked {
		return nil, fail(http.StatusRequestEntityTooLarge, "That is too many properties at once.")
	}
	q.dead = q.all || q.names || slices.ContainsFunc(q.asked, func(n xml.Name) bool { return liveProperty(n) == nil })
	return q, nil
}

func (q *query) answer(m *multistatus, r resource) {
	var dead []deadProperty
	if q.dead {
		dead, _ = r.h.props.load(r.root, r.real) // what can't be read is not there
	}
	found, missing := propstat{status: http.StatusOK}, propstat{status: http.StatusNotFound}
	if q.all || q.names {
		for _, l := range liveProperties {
			if v, ok := l.value(r); ok && l.all {
				found.props = append(found.props, property{xml.Name{Space: nsDAV, Local: l.local}, "", v})
			}
		}
		for _, d := range dead {
			found.props = append(found.props, d.property())
		}
		if q.names {
			for i := range found.props {
				found.props[i].value, found.props[i].lang = "", ""
			}
		}
	}
	for _, name := range q.asked {
		if q.all && slices.ContainsFunc(found.props, func(p property) bool { return p.name == name }) {
			continue
		}
		if l := liveProperty(name); l != nil {
			if v, ok := l.value(r); ok {
				found.props = append(found.props, property{name, "", v})
			} else {
				missing.props = append(missing.props, property{name: name})
			}
		} else if i := slices.IndexFunc(dead, func(d deadProperty) bool { return d.name() == name }); i >= 0 {
			found.props = append(found.props, dead[i].property())
		} else {
			missing.props = append(missing.props, property{name: name})
		}
	}
	m.props(r.name, r.info.IsDir(), found, missing)
}

const nsMicrosoft = "urn:schemas-microsoft-com:"

// proppatch sets dead properties: all that are named, or none.
func (h *Handler) proppatch(w http.ResponseWriter, r *http.Request, root *os.Root, name string) error {
	info, err := h.stat(root, name)
	if err != nil {
		return err
	}
	real, err := h.resolve(root, name, true)
	if err != nil {
		return err
	}
	doc, err := document(w, r)
	if err != nil {
		return err
	}
	if doc == nil || doc.name != (xml.Name{Space: nsDAV, Local: "propertyupdate"}) {
		return fail(http.StatusBadRequest, "The properties to set can't be understood.")
	}
	h.commit.Lock()
	defer h.commit.Unlock()
	if err := h.allowed(r, root, name, touches{name: name}); err != nil {
		return err
	}
	dead, err := h.props.load(root, real)
	if err != nil {
		return err
	}
	var names, protected []property
	var modified time.Time
	for _, change := range doc.children {
		if change.name.Space != nsDAV || change.name.Local != "set" && change.name.Local != "remove" {
			continue
		}
		prop := change.child("prop")
		if prop == nil {
			return fail(http.StatusBadRequest, "The properties to set can't be understood.")
		}
		for _, p := range prop.children {
			if len(names)+len(protected) == maxAsked {
				return fail(http.StatusRequestEntityTooLarge, "That is too many properties at once.")
			}
			if liveProperty(p.name) != nil {
				protected = append(protected, property{name: p.name})
				continue
			}
			names = append(names, property{name: p.name})
			dead = slices.DeleteFunc(dead, func(d deadProperty) bool { return d.name() == p.name })
			if change.name.Local == "remove" {
				continue
			}
			value := p.inner()
			dead = append(dead, deadProperty{p.name.Space, p.name.Local, p.lang, value})
			if p.name == (xml.Name{Space: nsMicrosoft, Local: "Win32LastModifiedTime"}) {
				modified, _ = http.ParseTime(value)
			}
		}
	}
	m := &multistatus{w: w, base: h.base(r)}
	switch {
	case len(protected) > 0:
		m.props(name, info.IsDir(), propstat{http.StatusForbidden, protected, "cannot-modify-protected-property"},
			propstat{http.StatusFailedDependency, names, ""})
	default:
		status := http.StatusOK
		if err := h.props.store(root, real, dead); err != nil {
			if status = explain(err).status; status == http.StatusInternalServerError {
				return err
			}
		} else if !modified.IsZero() && modified.Unix() > 1 {
			// Explorer says so how old the file is that it has copied here.
			_ = root.Chtimes(real, time.Time{}, modified)
		}
		m.props(name, info.IsDir(), propstat{status, names, ""})
	}
	return m.end()
}
