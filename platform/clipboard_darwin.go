package platform

const clipboardHint = "pbcopy is part of macOS"

func clipboardPrograms() [][]string { return [][]string{{"pbcopy"}} }
