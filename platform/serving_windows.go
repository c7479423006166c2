package platform

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

var getExtendedTCPTable = windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")

const tcpTableOwnerPIDListener = 3

func listening(ctx context.Context) ([]Serving, error) {
	var all []Serving
	for _, family := range []uintptr{windows.AF_INET, windows.AF_INET6} {
		table, err := tcpTable(ctx, family)
		if err != nil {
			return nil, err
		}
		all = append(all, parseTCPTable(table, family == windows.AF_INET6)...)
	}
	names := map[int]string{}
	for i := range all {
		pid := all[i].PID
		name, known := names[pid]
		if !known {
			name = imageName(pid)
			names[pid] = name
		}
		all[i].Program = name
	}
	return all, nil
}

// tcpTable asks again with more room for as long as the table has grown.
func tcpTable(ctx context.Context, family uintptr) ([]byte, error) {
	if err := getExtendedTCPTable.Find(); err != nil {
		return nil, err
	}
	size := uint32(16 << 10)
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		table := make([]byte, size)
		code, _, _ := getExtendedTCPTable.Call(uintptr(unsafe.Pointer(&table[0])), uintptr(unsafe.Pointer(&size)),
			0, family, tcpTableOwnerPIDListener, 0)
		switch err := windows.Errno(code); err {
		case windows.NO_ERROR:
			return table, nil
		case windows.ERROR_INSUFFICIENT_BUFFER: // size is what it needs
			size += 4 << 10
		default:
			return nil, fmt.Errorf("GetExtendedTcpTable: %w", err)
		}
	}
}

// imageName is the name of a process's program, without ".exe"; empty if this
// user may not know.
func imageName(pid int) string {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return ""
	}
	defer func() { _ = windows.CloseHandle(process) }()
	path := make([]uint16, windows.MAX_LONG_PATH)
	size := uint32(len(path))
	if err := windows.QueryFullProcessImageName(process, 0, &path[0], &size); err != nil {
		return ""
	}
	name := filepath.Base(windows.UTF16ToString(path[:size]))
	if ext := filepath.Ext(name); strings.EqualFold(ext, ".exe") {
		name = strings.TrimSuffix(name, ext)
	}
	return printable(name, false)
}
