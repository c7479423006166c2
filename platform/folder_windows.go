package platform

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	ole32             = windows.NewLazySystemDLL("ole32.dll")
	user32            = windows.NewLazySystemDLL("user32.dll")
	coCreateInstance  = ole32.NewProc("CoCreateInstance")
	enumThreadWindows = user32.NewProc("EnumThreadWindows")
	postMessage       = user32.NewProc("PostMessageW")

	clsidFileOpenDialog = windows.GUID{Data1: 0xdc1c5a9c, Data2: 0xe88a, Data3: 0x4dde, Data4: [8]byte{0xa5, 0xa1, 0x60, 0xf8, 0x2a, 0x20, 0xae, 0xf7}}
	iidFileOpenDialog   = windows.GUID{Data1: 0xd57c7288, Data2: 0xd4ad, Data3: 0x4768, Data4: [8]byte{0xbe, 0x02, 0x9d, 0x96, 0x95, 0x32, 0xd9, 0x60}}
)

// Where the methods stand in the tables of IFileOpenDialog and IShellItem, as
// shobjidl_core.h has them.
const (
	comRelease         = 2
	dialogShow         = 3
	dialogSetOptions   = 9
	dialogGetOptions   = 10
	dialogSetTitle     = 17
	dialogGetResult    = 20
	itemGetDisplayName = 5
)

const (
	clsctxInprocServer = 0x1
	pickFolders        = 0x20       // FOS_PICKFOLDERS
	forceFileSystem    = 0x40       // FOS_FORCEFILESYSTEM: nothing that has no path
	noChangeDir        = 0x8        // FOS_NOCHANGEDIR: this process's folder stays
	nameFileSysPath    = 0x80058000 // SIGDN_FILESYSPATH
	wmCommand          = 0x111
	idCancel           = 2
	canceledByUser     = 0x800704c7 // HRESULT_FROM_WIN32(ERROR_CANCELLED)
)

// comObject is what a COM interface points to: its methods' table.
type comObject struct{ methods *[64]uintptr }

// call calls a method. What its arguments point to is on the heap and stays there
// meanwhile.
//
//go:uintptrescapes
func (o *comObject) call(method int, args ...uintptr) error {
	code, _, _ := syscall.SyscallN(o.methods[method], append([]uintptr{uintptr(unsafe.Pointer(o))}, args...)...)
	if int32(code) < 0 {
		return windows.Errno(uint32(code))
	}
	return nil
}

func (o *comObject) release() { _ = o.call(comRelease) } // it returns a count

// chooseFolder shows the window on a thread of its own: COM and its messages
// belong to one.
func chooseFolder(ctx context.Context, title string) (string, error) {
	type result struct {
		path string
		err  error
	}
	done := make(chan result, 1)
	thread := make(chan uint32, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- windows.GetCurrentThreadId()
		path, err := showFolderDialog(title)
		done <- result{path, err}
	}()
	id := <-thread
	select {
	case r := <-done:
		return r.path, r.err
	case <-ctx.Done():
	}
	// The window may be about to come: it is told until it has gone, or for five
	// seconds.
	for range 100 {
		cancelWindows(id)
		select {
		case <-done:
			return "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return "", ctx.Err()
}

func showFolderDialog(title string) (string, error) {
	err := windows.CoInitializeEx(0, windows.COINIT_APARTMENTTHREADED|windows.COINIT_DISABLE_OLE1DDE)
	if err != nil && !errors.Is(err, syscall.Errno(1)) { // S_FALSE: it was already
		return "", fmt.Errorf("%w: start COM: %w", ErrNoChooser, err)
	}
	defer windows.CoUninitialize()
	var dialog *comObject
	code, _, _ := coCreateInstance.Call(uintptr(unsafe.Pointer(&clsidFileOpenDialog)), 0, clsctxInprocServer,
		uintptr(unsafe.Pointer(&iidFileOpenDialog)), uintptr(unsafe.Pointer(&dialog)))
	if int32(code) < 0 || dialog == nil {
		return "", fmt.Errorf("%w: make the window: %w", ErrNoChooser, windows.Errno(uint32(code)))
	}
	defer dialog.release()
	var options uint32
	if err := dialog.call(dialogGetOptions, uintptr(unsafe.Pointer(&options))); err != nil {
		return "", fmt.Errorf("ask the window for its options: %w", err)
	}
	if err := dialog.call(dialogSetOptions, uintptr(options|pickFolders|forceFileSystem|noChangeDir)); err != nil {
		return "", fmt.Errorf("have the window choose folders: %w", err)
	}
	text, err := windows.UTF16PtrFromString(title)
	if err != nil {
		return "", err
	}
	if err := dialog.call(dialogSetTitle, uintptr(unsafe.Pointer(text))); err != nil {
		return "", fmt.Errorf("name the window: %w", err)
	}
	if err := dialog.call(dialogShow, 0); err != nil {
		if errors.Is(err, windows.Errno(canceledByUser)) {
			return "", ErrCanceled
		}
		return "", fmt.Errorf("%w: show the window: %w", ErrNoChooser, err)
	}
	var item *comObject
	if err := dialog.call(dialogGetResult, uintptr(unsafe.Pointer(&item))); err != nil {
		return "", fmt.Errorf("ask what was chosen: %w", err)
	}
	defer item.release()
	var path *uint16
	if err := item.call(itemGetDisplayName, nameFileSysPath, uintptr(unsafe.Pointer(&path))); err != nil {
		return "", fmt.Errorf("ask for the folder's path: %w", err)
	}
	defer windows.CoTaskMemFree(unsafe.Pointer(path))
	return windows.UTF16PtrToString(path), nil
}

// cancelWindows presses Cancel in the windows of a thread.
func cancelWindows(thread uint32) {
	_, _, _ = enumThreadWindows.Call(uintptr(thread), cancelWindow(), 0) // false if there are none
}

// cancelWindow is a callback, of which a process has few.
var cancelWindow = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(window, _ uintptr) uintptr {
		_, _, _ = postMessage.Call(window, wmCommand, idCancel, 0) // it may have gone
		return 1                                                   // go on with the next
	})
})
