package platform

// Desktop is what the desktop of this user has that this program can use.
type Desktop struct {
	Bus           error // why there is no session bus
	TrayHost      bool  // something shows tray icons
	Notifications bool  // something shows notifications
}
