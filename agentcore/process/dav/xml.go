package dav

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	nsDAV = "DAV:"
	nsXML = "http://www.w3.org/XML/1998/namespace"

	nsXMLNS = "http://www.w3.org/2000/xmlns/"

	// Bounds of a request's document: an element takes much more memory than it
	// has bytes.
	maxXML           = 1 << 20
	maxXMLDepth      = 64
	maxXMLElements   = 10_000
	maxXMLAttributes = 32
)

var errXML = errors.New("the XML can't be understood")

// node is an element of a request's document, with its names resolved.
type node struct {
	name     xml.Name
	lang     string // xml:lang in force here
	attrs    []xml.Attr
	children []*node
	text     []piece
}

// piece is what an element holds, in its order: text or an element.
type piece struct {
	text  string
	child *node
}

func (n *node) child(local string) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name.Space == nsDAV && c.name.Local == local {
			return c
		}
	}
	return nil
}

// readXML reads a document; nil when the body is empty. A document type is
// refused, and with it every entity but XML's own five.
func readXML(data []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	var root *node
	var open []*node
	elements := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %v", errXML, err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, fmt.Errorf("%w: a document type is not accepted", errXML)
		case xml.StartElement:
			if elements++; elements > maxXMLElements || len(t.Attr) > maxXMLAttributes {
				return nil, fmt.Errorf("%w: there is too much in it", errXML)
			}
			if !wellNamed(t) {
				return nil, fmt.Errorf("%w: a name in it is not one", errXML)
			}
			n := &node{name: t.Name}
			if len(open) > 0 {
				n.lang = open[len(open)-1].lang
			}
			for _, a := range t.Attr {
				switch {
				case a.Name.Space == "xmlns" && a.Value == "":
					return nil, fmt.Errorf("%w: the prefix %s has no namespace", errXML, a.Name.Local)
				case a.Name.Space == "xmlns", a.Name.Space == "" && a.Name.Local == "xmlns":
				case a.Name.Space == nsXML && a.Name.Local == "lang":
					n.lang = a.Value
				default:
					n.attrs = append(n.attrs, a)
				}
			}
			switch {
			case len(open) == maxXMLDepth:
				return nil, fmt.Errorf("%w: it is nested too deeply", errXML)
			case len(open) > 0:
				parent := open[len(open)-1]
				parent.children = append(parent.children, n)
				parent.text = append(parent.text, piece{child: n})
			case root != nil:
				return nil, fmt.Errorf("%w: it has two roots", errXML)
			default:
				root = n
			}
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				n := open[len(open)-1]
				n.text = append(n.text, piece{text: string(t)})
			} else if len(bytes.TrimSpace(t)) > 0 {
				return nil, fmt.Errorf("%w: there is text outside of it", errXML)
			}
		}
	}
	return root, nil
}

// wellNamed looks at what the decoder lets pass, but would make what others
// read unreadable if it were said to them again.
func wellNamed(e xml.StartElement) bool {
	fine := func(n xml.Name) bool {
		first, _ := utf8.DecodeRuneInString(n.Local)
		return (first == '_' || unicode.IsLetter(first)) && !strings.Contains(n.Local, ":")
	}
	if !fine(e.Name) || e.Name.Space == nsXML || e.Name.Space == nsXMLNS {
		return false
	}
	for i, a := range e.Attr {
		if !fine(a.Name) || a.Name.Space == nsXMLNS ||
			slices.ContainsFunc(e.Attr[:i], func(b xml.Attr) bool { return a.Name == b.Name }) {
			return false
		}
	}
	return true
}

// inner is what n holds, as XML that needs no declaration from outside.
func (n *node) inner() string {
	var b bytes.Buffer
	n.writeInner(&b)
	return b.String()
}

func (n *node) writeInner(b *bytes.Buffer) {
	for _, p := range n.text {
		if p.child == nil {
			_ = xml.EscapeText(b, []byte(p.text))
			continue
		}
		c := p.child
		fmt.Fprintf(b, `<%s xmlns="%s"`, c.name.Local, escape(c.name.Space))
		if c.lang != n.lang {
			fmt.Fprintf(b, ` xml:lang="%s"`, escape(c.lang))
		}
		for i, a := range c.attrs {
			switch a.Name.Space {
			case "":
				fmt.Fprintf(b, ` %s="%s"`, a.Name.Local, escape(a.Value))
			case nsXML:
				fmt.Fprintf(b, ` xml:%s="%s"`, a.Name.Local, escape(a.Value))
			default:
				fmt.Fprintf(b, ` xmlns:a%d="%s" a%d:%s="%s"`, i, escape(a.Name.Space), i, a.Name.Local, escape(a.Value))
			}
		}
		b.WriteByte('>')
		c.writeInner(b)
		fmt.Fprintf(b, `</%s>`, c.name.Local)
	}
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// property is a property's name and its value, as XML.
type property struct {
	name  xml.Name
	lang  string
	value string
}

func (p property) write(w *bufio.Writer) {
	tag := "D:" + p.name.Local
	if p.name.Space != nsDAV {
		tag = p.name.Local
	}
	w.WriteString("<" + tag)
	if p.name.Space != nsDAV {
		w.WriteString(` xmlns="` + escape(p.name.Space) + `"`)
	}
	if p.lang != "" {
		w.WriteString(` xml:lang="` + escape(p.lang) + `"`)
	}
	if p.value == "" {
		w.WriteString("/>")
		return
	}
	w.WriteString(">" + p.value + "</" + tag + ">")
}

// multistatus writes a 207 as it comes, so that a folder of any size takes no
// memory. The first response sends the status.
type multistatus struct {
	w    http.ResponseWriter
	buf  *bufio.Writer
	base string // what hrefs begin with
}

func (m *multistatus) begin() {
	if m.buf != nil {
		return
	}
	m.w.Header().Set("Content-Type", `application/xml; charset="utf-8"`)
	m.w.WriteHeader(http.StatusMultiStatus)
	m.buf = bufio.NewWriterSize(m.w, 16<<10)
	m.buf.WriteString(xml.Header + `<D:multistatus xmlns:D="DAV:">`)
}

// propstat is properties that share a status.
type propstat struct {
	status int
	props  []property
	reason string // an element of RFC 4918's, if one fits
}

func (m *multistatus) props(name string, dir bool, stats ...propstat) {
	m.begin()
	m.buf.WriteString("\n<D:response><D:href>" + m.href(name, dir) + "</D:href>")
	wrote := false
	for i, s := range stats {
		if len(s.props) == 0 && (wrote || i < len(stats)-1) {
			continue // but one there must be
		}
		wrote = true
		m.buf.WriteString("<D:propstat><D:prop>")
		for _, p := range s.props {
			p.write(m.buf)
		}
		m.buf.WriteString("</D:prop><D:status>" + statusLine(s.status) + "</D:status>")
		if s.reason != "" {
			m.buf.WriteString("<D:error><D:" + s.reason + "/></D:error>")
		}
		m.buf.WriteString("</D:propstat>")
	}
	m.buf.WriteString("</D:response>")
}

func (m *multistatus) status(name string, status int, sentence string) {
	m.begin()
	m.buf.WriteString("\n<D:response><D:href>" + m.href(name, false) + "</D:href><D:status>" + statusLine(status) +
		"</D:status><D:responsedescription>" + escape(sentence) + "</D:responsedescription></D:response>")
}

func (m *multistatus) end() error {
	m.begin()
	m.buf.WriteString("\n</D:multistatus>\n")
	return m.buf.Flush()
}

func (m *multistatus) href(name string, dir bool) string { return escape(href(m.base, name, dir)) }

// href is the address of name, a slash at the end of a folder's.
func href(base, name string, dir bool) string {
	p := base + "/" + name
	if name == "." {
		p = base + "/"
	} else if dir {
		p += "/"
	}
	return (&url.URL{Path: p}).EscapedPath()
}

func statusLine(status int) string {
	return fmt.Sprintf("HTTP/1.1 %d %s", status, http.StatusText(status))
}
