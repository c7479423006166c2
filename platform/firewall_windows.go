package platform

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/windows/registry"
)

const firewallPolicy = `SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\`

// firewallOf takes the firewall for active when it is switched on for any kind of
// network: which one this computer is in changes.
func firewallOf(_ context.Context, port uint16, udp bool) Firewall {
	f := Firewall{
		Name: "Windows Firewall",
		Command: fmt.Sprintf(`netsh advfirewall firewall add rule name="Sharetray %d" dir=in action=allow protocol=%s localport=%[1]d`,
			port, strings.ToUpper(protocol(udp))),
		Note: "Run it in a terminal that was opened as administrator.",
	}
	for _, profile := range []string{"StandardProfile", "PublicProfile", "DomainProfile"} {
		key, err := registry.OpenKey(registry.LOCAL_MACHINE, firewallPolicy+profile, registry.QUERY_VALUE)
		if err != nil {
			continue
		}
		on, _, err := key.GetIntegerValue("EnableFirewall")
		f.Active = f.Active || err == nil && on != 0
		_ = key.Close() // only read
	}
	return f
}
