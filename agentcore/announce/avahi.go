package announce

import (
	"errors"
	"net"

	"github.com/godbus/dbus/v5"

	"sharetray/agentcore/reach"
)

// Avahi's names on the system's bus, and what it is told for "any" (avahi-common/
// address.h).
const (
	avahiName    = "org.freedesktop.Avahi"
	avahiServer  = avahiName + ".Server"
	avahiGroup   = avahiName + ".EntryGroup"
	avahiTaken   = avahiName + ".CollisionError"
	anyProtocol  = int32(-1)
	noFlags      = uint32(0)
	maxCollision = 20
)

// avahi has the system's own responder announce services. What it was told ends
// with the connection.
type avahi struct {
	conn  *dbus.Conn
	group dbus.BusObject
}

func openAvahi() (backend, error) {
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return nil, err
	}
	var runs bool
	if err := conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, avahiName).Store(&runs); err != nil || !runs {
		conn.Close()
		return nil, errors.Join(err, errors.New("avahi does not run"))
	}
	var path dbus.ObjectPath
	if err := conn.Object(avahiName, "/").Call(avahiServer+".EntryGroupNew", 0).Store(&path); err != nil {
		conn.Close()
		return nil, err
	}
	return &avahi{conn, conn.Object(avahiName, path)}, nil
}

func (a *avahi) announce(services []Service, _ string, addrs []reach.Addr) error {
	if err := a.group.Call(avahiGroup+".Reset", 0).Err; err != nil {
		return err
	}
	var text [][]byte
	for _, s := range services {
		text = text[:0]
		for _, t := range s.text() {
			text = append(text, []byte(t))
		}
		for _, index := range interfaces(addrs) {
			if err := a.add(s, index, text); err != nil {
				return err
			}
		}
	}
	return a.group.Call(avahiGroup+".Commit", 0).Err
}

func (a *avahi) add(s Service, index int32, text [][]byte) (err error) {
	for try := range maxCollision {
		err = a.group.Call(avahiGroup+".AddService", 0, index, anyProtocol, noFlags, unique(s.Name, try), s.Type, "", "", s.Port, text).Err
		var said dbus.Error
		if !errors.As(err, &said) || said.Name != avahiTaken {
			return err
		}
	}
	return err
}

func (a *avahi) close() {
	_ = a.group.Call(avahiGroup+".Free", 0).Err // the bus ends it otherwise
	a.conn.Close()
}

// interfaces are the numbers of the interfaces of addrs, each once.
func interfaces(addrs []reach.Addr) (indices []int32) {
	seen := map[string]bool{}
	for _, a := range addrs {
		if seen[a.Interface] {
			continue
		}
		seen[a.Interface] = true
		if ifi, err := net.InterfaceByName(a.Interface); err == nil {
			indices = append(indices, int32(ifi.Index))
		}
	}
	return indices
}
