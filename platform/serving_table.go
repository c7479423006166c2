package platform

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// parseTCPTable reads what GetExtendedTcpTable of Windows fills in: a count, then
// rows. One of IPv4 (MIB_TCPROW_OWNER_PID) has six numbers: state, address, port,
// remote address, remote port, pid. One of IPv6 (MIB_TCP6ROW_OWNER_PID) has
// address, scope, port, remote address, scope, port, state, pid. Addresses and
// ports are in the network's order, a port in the first two bytes of its four.
func parseTCPTable(table []byte, v6 bool) (all []Serving) {
	size, addrAt, addrLen, portAt, pidAt := 24, 4, 4, 8, 20
	if v6 {
		size, addrAt, addrLen, portAt, pidAt = 56, 0, 16, 20, 52
	}
	if len(table) < 4 {
		return nil
	}
	rows := int(binary.LittleEndian.Uint32(table))
	for table = table[4:]; rows > 0 && len(table) >= size; rows-- {
		row := table[:size]
		table = table[size:]
		addr, _ := netip.AddrFromSlice(row[addrAt : addrAt+addrLen])
		if scope := binary.LittleEndian.Uint32(row[16:]); v6 && scope != 0 { // link-local addresses need it
			addr = addr.WithZone(strconv.FormatUint(uint64(scope), 10))
		}
		all = append(all, Serving{
			Addr: netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(row[portAt:])),
			PID:  int(binary.LittleEndian.Uint32(row[pidAt:])),
		})
	}
	return all
}
