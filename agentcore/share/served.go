package share

// ServedLike reports whether a process that serves s serves t as well: some of
// what is declared is for the agent alone.
func (s Share) ServedLike(t Share) bool {
	s.Paused, s.Notify, s.StopGrace, s.NotifyOf = t.Paused, t.Notify, t.StopGrace, t.NotifyOf
	return s == t
}
