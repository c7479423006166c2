package dav

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"os"
	"sync"

	"sharetray/platform"
)

// attribute is the extended attribute that holds a file's dead properties.
const attribute = "user.sharetray.dav"

const (
	maxProps       = 32 << 10 // bytes for one file
	maxPropsMemory = 4 << 20  // bytes for all, where there are no extended attributes
)

var errNoAttributes = errors.New("no extended attributes here")

// deadProperty is one that means nothing to us: a client's own note.
type deadProperty struct {
	Space string `json:"ns,omitempty"`
	Local string `json:"name"`
	Lang  string `json:"lang,omitempty"`
	Value string `json:"xml"`
}

func (d deadProperty) name() xml.Name     { return xml.Name{Space: d.Space, Local: d.Local} }
func (d deadProperty) property() property { return property{d.name(), d.Lang, d.Value} }

// properties keeps dead properties with the files, as extended attributes: so
// they survive, and go where the files go. Where the system or the disk has
// none they are kept in memory only, bounded, and are forgotten with the
// process: clients treat them as notes that may be lost.
type properties struct {
	mu       sync.Mutex
	memory   map[string][]byte // by real name
	bytes    int
	noAttrib bool // tests pretend that the disk has none
}

func (p *properties) load(root *os.Root, real string) (all []deadProperty, err error) {
	data, err := p.read(root, real)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	if json.Unmarshal(data, &all) != nil {
		return nil, nil // somebody else's, or damaged
	}
	return all, nil
}

func (p *properties) store(root *os.Root, real string, all []deadProperty) error {
	if len(all) == 0 {
		return p.write(root, real, nil)
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return p.write(root, real, data)
}

func (p *properties) read(root *os.Root, real string) ([]byte, error) {
	p.mu.Lock()
	data, ok := p.memory[fold(real)]
	p.mu.Unlock()
	if ok || p.noAttrib {
		return data, nil
	}
	f, err := root.OpenFile(real, os.O_RDONLY|platform.OpenNoWait, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err = getAttribute(f, attribute)
	if errors.Is(err, errNoAttributes) {
		return nil, nil
	}
	return data, err
}

func (p *properties) write(root *os.Root, real string, data []byte) error {
	full := fail(http.StatusInsufficientStorage, "There is no room for more properties of this file.")
	if len(data) > maxProps {
		return full
	}
	err := errNoAttributes
	if !p.noAttrib {
		f, openErr := root.OpenFile(real, os.O_RDONLY|platform.OpenNoWait, 0)
		if openErr != nil {
			return openErr
		}
		defer f.Close()
		err = setAttribute(f, attribute, data)
	}
	if !errors.Is(err, errNoAttributes) {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := fold(real)
	size := p.bytes - len(p.memory[key]) + len(data)
	if _, had := p.memory[key]; !had {
		size += len(key)
	}
	if len(data) == 0 {
		p.forgetLocked(key)
		return nil
	}
	if size > maxPropsMemory {
		return full
	}
	if p.memory == nil {
		p.memory = map[string][]byte{}
	}
	p.memory[key], p.bytes = data, size
	return nil
}

func (p *properties) forgetLocked(key string) {
	if data, had := p.memory[key]; had {
		p.bytes -= len(data) + len(key)
		delete(p.memory, key)
	}
}

// copy gives to what from has. Properties are not worth failing a copy.
func (p *properties) copy(root *os.Root, from, to string) {
	if data, err := p.read(root, from); err == nil && len(data) > 0 {
		_ = p.write(root, to, data)
	}
}

// moved tells of a rename: what is remembered here goes along, and what was
// known of to is over. With to "" it is of a removal.
func (p *properties) moved(from, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := map[string][]byte{}
	for key := range p.memory {
		if to != "" && (key == fold(to) || below(key, to)) {
			p.forgetLocked(key)
		}
	}
	for key, data := range p.memory {
		if key == fold(from) || below(key, from) {
			p.forgetLocked(key)
			if to != "" {
				kept[fold(to)+key[len(fold(from)):]] = data
			}
		}
	}
	for key, data := range kept {
		p.forgetLocked(key)
		p.memory[key] = data
		p.bytes += len(data) + len(key)
	}
}
