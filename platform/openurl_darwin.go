package platform

var openers = [][]string{{"open"}}

const openerHint = "open is part of macOS"
