package platform

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

func firewallOf(ctx context.Context, port uint16, udp bool) Firewall {
	return firewallIn(ctx, "/", systemBus, port, udp)
}

// firewallIn is firewallOf with the root of the files and the way to the system's
// bus.
func firewallIn(ctx context.Context, root string, bus func(context.Context) (*dbus.Conn, error), port uint16, udp bool) Firewall {
	proto := protocol(udp)
	var off Firewall // one that is there, but not switched on
	for _, f := range []Firewall{ufw(root, port, proto), firewalld(ctx, root, bus, port, proto), nftables(root, port, proto), iptables(root, port, proto)} {
		if f.Active {
			return f
		}
		if off.Name == "" {
			off = f
		}
	}
	return off
}

func ufw(root string, port uint16, proto string) Firewall {
	text, err := os.ReadFile(filepath.Join(root, "etc/ufw/ufw.conf"))
	if err != nil {
		return Firewall{}
	}
	f := Firewall{Name: "ufw", Command: fmt.Sprintf("sudo ufw allow %d/%s", port, proto)}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.TrimSpace(key) == "ENABLED" { // the last one counts: a shell reads it
			f.Active = strings.EqualFold(strings.Trim(strings.TrimSpace(value), `"'`), "yes")
		}
	}
	return f
}

// firewalld is on while it runs: on the system's bus, or by the file that it
// leaves its process's number in.
func firewalld(ctx context.Context, root string, bus func(context.Context) (*dbus.Conn, error), port uint16, proto string) Firewall {
	f := Firewall{
		Name:    "firewalld",
		Command: fmt.Sprintf("sudo firewall-cmd --add-port=%d/%s && sudo firewall-cmd --permanent --add-port=%[1]d/%[2]s", port, proto),
	}
	if text, err := os.ReadFile(filepath.Join(root, "run/firewalld.pid")); err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err == nil {
			_, err = os.Stat(filepath.Join(root, "proc", strconv.Itoa(pid)))
		}
		f.Active = err == nil
	}
	if !f.Active {
		f.Active = onSystemBus(ctx, bus, "org.fedoraproject.FirewallD1")
	}
	if _, err := os.Stat(filepath.Join(root, "etc/firewalld")); err != nil && !f.Active {
		return Firewall{}
	}
	return f
}

func onSystemBus(ctx context.Context, bus func(context.Context) (*dbus.Conn, error), name string) (owned bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := bus(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }() // nothing of it is needed any more
	_ = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned)
	return owned
}

func systemBus(ctx context.Context) (*dbus.Conn, error) {
	return dbus.ConnectSystemBus(dbus.WithContext(ctx))
}

// nftables is on when it is loaded at boot with a chain that keeps visitors out.
// What the kernel has in force only root may read.
func nftables(root string, port uint16, proto string) Firewall {
	const file = "etc/nftables.conf"
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return Firewall{}
	}
	chain, closed := inputChain(string(text))
	if chain == "" {
		return Firewall{}
	}
	return Firewall{
		Name:    "nftables",
		Active:  closed && startsAtBoot(root, "nftables.service"),
		Command: fmt.Sprintf("sudo nft insert rule %s %s dport %d accept", chain, proto, port),
		Note:    "It lasts until this computer restarts; add the rule to /" + file + " to keep it.",
	}
}

// inputChain finds the chain that incoming packets pass, as "inet filter input",
// and whether it keeps any out.
func inputChain(ruleset string) (name string, closed bool) {
	var table, chain string
	for line := range strings.Lines(ruleset) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(strings.NewReplacer("{", " { ", "}", " } ", ";", " ; ").Replace(line))
		for i, word := range words {
			rest := words[i+1:]
			switch {
			case word == "table" && len(rest) > 2 && rest[2] == "{":
				table, chain = rest[0]+" "+rest[1], ""
			case word == "table" && len(rest) > 1 && rest[1] == "{": // of the family that is none
				table, chain = "ip "+rest[0], ""
			case word == "chain" && len(rest) > 1 && rest[1] == "{":
				chain = table + " " + rest[0]
			case word == "hook" && len(rest) > 0 && rest[0] == "input" && name == "" && table != "":
				name = chain
			case (word == "drop" || word == "reject") && name != "" && chain == name:
				closed = true
			}
		}
	}
	return name, closed
}

// iptables is on when rules that keep visitors out are loaded at boot.
func iptables(root string, port uint16, proto string) Firewall {
	for file, unit := range map[string]string{
		"etc/iptables/rules.v4":  "netfilter-persistent.service",
		"etc/sysconfig/iptables": "iptables.service",
	} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue
		}
		closed := false
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) < 2 {
				continue
			}
			last := words[len(words)-1]
			closed = closed || words[0] == ":INPUT" && words[1] == "DROP" ||
				words[0] == "-A" && words[1] == "INPUT" && (last == "DROP" || strings.Contains(line, "-j REJECT"))
		}
		return Firewall{
			Name:    "iptables",
			Active:  closed && startsAtBoot(root, unit),
			Command: fmt.Sprintf("sudo iptables -I INPUT -p %s --dport %d -j ACCEPT", proto, port),
			Note:    "It lasts until this computer restarts; add the rule to /" + file + " to keep it.",
		}
	}
	return Firewall{}
}

func startsAtBoot(root, unit string) bool {
	links, err := filepath.Glob(filepath.Join(root, "etc/systemd/system/*.wants", unit))
	return err == nil && len(links) > 0
}
