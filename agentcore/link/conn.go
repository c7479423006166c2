package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"sharetray/platform"
)

// ErrClosed is returned for questions that a closed link leaves unanswered.
var ErrClosed = errors.New("the link is closed")

// Refused is the error of a question that was answered by a refusal.
type Refused struct{ Refusal }

func (r *Refused) Error() string { return r.Sentence }

// Handler takes what the other side says unasked, in order, on the link's read
// loop: it must not block on the link itself. What it returns is sent as the
// answer; nil answers nothing. The sockets belong to the handler.
type Handler func(Message, []*platform.Socket) *Message

// Conn is one end of a link. It is safe for concurrent use.
type Conn struct {
	conn    net.Conn
	handler Handler

	writeMu sync.Mutex

	mu      sync.Mutex
	nextID  uint64
	waiting map[uint64]chan Message
	done    chan struct{}
	err     error
}

// New starts to speak on conn, which it owns from then on.
func New(conn net.Conn, handler Handler) *Conn {
	c := &Conn{conn: conn, handler: handler, waiting: map[uint64]chan Message{}, done: make(chan struct{})}
	go c.read()
	return c
}

// Done is closed when the link is; the other side has then died or hung up.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close hangs up.
func (c *Conn) Close() error { return c.conn.Close() }

// Tell sends a message that wants no answer.
func (c *Conn) Tell(m Message) error { return c.write(m, nil) }

// Ask sends a message, with sockets attached, and waits for its answer. The
// error is a *Refused when the other side would not, ctx's when time ran out,
// and wraps ErrClosed when the link closed before the answer came.
func (c *Conn) Ask(ctx context.Context, m Message, socks ...*platform.Socket) (Message, error) {
	answer := make(chan Message, 1)
	defer func() {
		select {
		case late := <-answer: // nobody takes what came with it
			closeAll(late.Sockets)
		default:
		}
	}()
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return Message{}, c.err
	}
	c.nextID++
	m.ID = c.nextID
	c.waiting[m.ID] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, m.ID)
		c.mu.Unlock()
	}()
	written := make(chan error, 1)
	go func() { written <- c.write(m, socks) }() // a stopped process does not read
	answered := false
	defer func() {
		if written == nil || len(socks) == 0 {
			return
		}
		if !answered {
			c.conn.Close() // no socket must be half-way out when the caller closes it
		}
		<-written
	}()
	read := func(a Message) (Message, error) {
		answered = true
		if a.Type == TypeRefuse && a.Refusal != nil {
			return a, &Refused{*a.Refusal}
		}
		return a, nil
	}
	for {
		select {
		case err := <-written:
			written = nil
			if err == nil {
				continue
			}
			select {
			case a := <-answer: // it said why before it hung up
				return read(a)
			default:
			}
			return Message{}, fmt.Errorf("%w: %w", ErrClosed, err)
		case a := <-answer:
			return read(a)
		case <-c.done:
			return Message{}, c.err
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

func (c *Conn) write(m Message, socks []*platform.Socket) error {
	payload, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a %s: %w", m.Type, err)
	}
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	return platform.WriteFrame(c.conn, payload, socks)
}

func (c *Conn) read() {
	err := c.readAll()
	c.conn.Close()
	c.mu.Lock()
	c.err = fmt.Errorf("%w: %w", ErrClosed, err)
	c.mu.Unlock()
	close(c.done)
}

func (c *Conn) readAll() error {
	for {
		payload, socks, err := platform.ReadFrame(c.conn)
		if err != nil {
			return err
		}
		var m Message
		if err := json.Unmarshal(payload, &m); err != nil {
			return fmt.Errorf("decode a message: %w", err)
		}
		if m.Answer {
			m.Sockets = socks
			c.deliver(m)
			continue
		}
		if answer := c.handler(m, socks); answer != nil {
			answer.ID, answer.Answer = m.ID, true
			err := c.write(*answer, answer.Sockets)
			closeAll(answer.Sockets)
			if err != nil {
				return err
			}
		}
	}
}

func (c *Conn) deliver(m Message) {
	c.mu.Lock() // until it is in the channel, so that Ask finds it there
	defer c.mu.Unlock()
	if answer := c.waiting[m.ID]; answer != nil {
		select {
		case answer <- m:
			return
		default: // answered twice
		}
	}
	closeAll(m.Sockets)
}

func closeAll(socks []*platform.Socket) {
	for _, s := range socks {
		s.Close()
	}
}
