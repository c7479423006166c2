// Package fault has tests only: what can go wrong with an agent and the share
// processes that it leaves, tried on the real program. `go test -run Fault` runs
// a sample of the steps at which an agent can be killed; with SHARETRAY_FAULTS=all
// in the environment it runs every one.
package fault
