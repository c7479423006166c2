package platform

func addAutostart(AutostartEntry) error                  { return ErrUnsupported }
func removeAutostart(AutostartEntry) error               { return ErrUnsupported }
func autostartOf(AutostartEntry) (AutostartState, error) { return AutostartState{}, ErrUnsupported }
