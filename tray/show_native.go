//go:build windows || (darwin && cgo)

package tray

import (
	"context"

	"fyne.io/systray"
)

func (l *loop) show(ctx context.Context) error {
	systray.Run(func() {
		l.screen = newItems(l.order, l.clicks)
		l.opened = systray.TrayOpenedCh
		go func() { // systray waits for this function before it shows anything
			l.run(ctx, ctx)
			systray.Quit()
		}()
	}, nil)
	return nil
}
