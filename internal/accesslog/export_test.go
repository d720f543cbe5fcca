package accesslog

// Line is the line of an entry.
func Line(e Entry) string { return string(e.line()) }
