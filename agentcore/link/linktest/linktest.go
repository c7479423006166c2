// Package linktest plays one side of a recorded conversation on a link, so that
// tests can hold both sides to what earlier versions have said.
//
// It must not know more of the link than its frames: what this version of the
// program would say is not what was recorded.
package linktest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"

	"sharetray/platform"
)

// Side says who speaks.
type Side string

const (
	Agent   Side = "agent"
	Process Side = "process"
)

// Line is one frame of a conversation, as a file in ../testdata has it, one a
// line. A string "$NAME" in the frame stands for what differs from one
// conversation to the next.
type Line struct {
	From    Side `json:"from"`
	Frame   any  `json:"frame"`
	Sockets int  `json:"sockets,omitempty"` // that come with it
}

// Read returns the conversation in the file at path.
func Read(path string) ([]Line, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		var l Line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// Player plays one side. What the other side says must hold all that was
// recorded, and may hold more.
type Player struct {
	Side Side
	// Vars is what the variables stand for. One that is not known takes the value
	// that the other side says first.
	Vars map[string]any
	// Give are the sockets that go along with what this side says.
	Give func() ([]*platform.Socket, error)
	// Got are those that came with what the other side said.
	Got []*platform.Socket
}

// Play plays the lines on conn.
func (p *Player) Play(conn net.Conn, lines []Line) error {
	for i, l := range lines {
		var err error
		if l.From == p.Side {
			err = p.say(conn, l)
		} else {
			err = p.hear(conn, l)
		}
		if err != nil {
			return fmt.Errorf("line %d, of the %s: %w", i+1, l.From, err)
		}
	}
	return nil
}

func (p *Player) say(conn net.Conn, l Line) error {
	frame, err := p.fill(l.Frame)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(frame)
	if err != nil {
		return err
	}
	var socks []*platform.Socket
	if l.Sockets > 0 {
		if socks, err = p.Give(); err != nil {
			return err
		}
	}
	defer closeAll(socks)
	return platform.WriteFrame(conn, payload, socks)
}

func (p *Player) hear(conn net.Conn, l Line) error {
	payload, socks, err := platform.ReadFrame(conn)
	if err != nil {
		return err
	}
	p.Got = append(p.Got, socks...)
	var frame any
	if err := json.Unmarshal(payload, &frame); err != nil {
		return err
	}
	if isNews(frame) && !isNews(l.Frame) {
		return p.hear(conn, l)
	}
	if len(socks) != l.Sockets {
		return fmt.Errorf("%d sockets came with %s, not %d", len(socks), payload, l.Sockets)
	}
	if err := p.match("", l.Frame, frame); err != nil {
		return fmt.Errorf("%w: %s", err, payload)
	}
	return nil
}

func variable(v any) (name string, ok bool) {
	s, _ := v.(string)
	return strings.CutPrefix(s, "$")
}

// isNews reports whether a process tells it unasked: what visitors do comes at
// any time.
func isNews(frame any) bool {
	f, _ := frame.(map[string]any)
	return f["answer"] == nil && (f["type"] == "health" || f["type"] == "done")
}

// fill puts values in the place of variables.
func (p *Player) fill(v any) (any, error) {
	if name, ok := variable(v); ok {
		if value, known := p.Vars[name]; known {
			return value, nil
		}
		return nil, fmt.Errorf("nobody says what $%s is", name)
	}
	var err error
	switch v := v.(type) {
	case map[string]any:
		filled := map[string]any{}
		for key, part := range v {
			if filled[key], err = p.fill(part); err != nil {
				return nil, err
			}
		}
		return filled, nil
	case []any:
		filled := make([]any, len(v))
		for i, part := range v {
			if filled[i], err = p.fill(part); err != nil {
				return nil, err
			}
		}
		return filled, nil
	}
	return v, nil
}

// match wants said to hold all that is in recorded.
func (p *Player) match(where string, recorded, said any) error {
	if name, ok := variable(recorded); ok {
		value, known := p.Vars[name]
		if !known {
			p.Vars[name] = said
			return nil
		}
		recorded = value
	}
	want, ok := recorded.(map[string]any)
	if !ok {
		if a, b := plain(recorded), plain(said); !reflect.DeepEqual(a, b) {
			return fmt.Errorf("%s is %v, not %v", where, b, a)
		}
		return nil
	}
	got, ok := said.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is %v, not an object", where, said)
	}
	for key, part := range want {
		if err := p.match(where+"."+key, part, got[key]); err != nil {
			return err
		}
	}
	return nil
}

// plain is v as it comes out of JSON.
func plain(v any) (out any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		return err
	}
	return out
}

func closeAll(socks []*platform.Socket) {
	for _, s := range socks {
		s.Close()
	}
}
