// Package failpoint lets tests have this program fail at a named step: be killed
// there, stop there, or meet an error. Outside of tests it is not there at all:
// without the build tag failpoints, Here does nothing and costs nothing.
//
// It must not know what the steps are.
package failpoint
