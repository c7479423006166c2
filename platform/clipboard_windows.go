package platform

const clipboardHint = "clip.exe is part of Windows"

// clip.exe reads its input in the console's code page: links are ASCII.
func clipboardPrograms() [][]string { return [][]string{{"clip.exe"}} }
