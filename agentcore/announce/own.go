package announce

import (
	"errors"
	"io"
	"log"
	"net"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"

	"sharetray/agentcore/reach"
)

// own answers for services in this process. It does not speak unasked: who browses
// asks again and again.
type own struct{ servers []*mdns.Server }

func openOwn() (backend, error) { return &own{}, nil }

func (o *own) announce(services []Service, host string, addrs []reach.Addr) error {
	o.close()
	byInterface := map[string][]net.IP{}
	for _, a := range addrs {
		byInterface[a.Interface] = append(byInterface[a.Interface], net.IP(a.AsSlice()))
	}
	var errs []error
	for name, ips := range byInterface {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var all zone
		for _, s := range services {
			z, err := mdns.NewMDNSService(escape(s.Name), s.Type, "local.", host+".", int(s.Port), ips, s.text())
			if err != nil {
				errs = append(errs, err)
				continue
			}
			all = append(all, z)
		}
		server, err := mdns.NewServer(&mdns.Config{Zone: all, Iface: ifi, Logger: log.New(io.Discard, "", 0)})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		o.servers = append(o.servers, server)
	}
	if len(o.servers) == 0 {
		return errors.Join(errs...)
	}
	return nil
}

func (o *own) close() {
	for _, s := range o.servers {
		_ = s.Shutdown()
	}
	o.servers = nil
}

// zone answers for several services.
type zone []mdns.Zone

func (z zone) Records(q dns.Question) (records []dns.RR) {
	for _, part := range z {
		for _, r := range part.Records(q) {
			if !contains(records, r) {
				records = append(records, r)
			}
		}
	}
	return records
}

func contains(records []dns.RR, r dns.RR) bool {
	for _, known := range records {
		if dns.IsDuplicate(known, r) {
			return true
		}
	}
	return false
}

// escape writes an instance's name as one label of a domain name, whatever is in it
// (RFC 6763, 4.3).
func escape(name string) string {
	var b []byte
	for _, c := range []byte(name) {
		if c == '.' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
		if len(b) >= 60 { // a label has 63 bytes
			break
		}
	}
	return string(b)
}
