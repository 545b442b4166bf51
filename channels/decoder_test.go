package channels

import (
	"strconv"
	"strings"
)

// dispatched is what an EventSource tells its page, and what it remembers.
type dispatched struct {
	Type, Data, LastEventID string
}

// decode reads stream as an EventSource does, step by step as WHATWG HTML,
// 9.2.6 says. It returns the events and the reconnection time that was set
// last, -1 for none.
func decode(stream []byte) (events []dispatched, retry int64) {
	text := strings.ToValidUTF8(string(stream), "\uFFFD")
	text = strings.TrimPrefix(text, "\uFEFF")
	retry = -1
	var data, typ, id, lastID string
	for text != "" {
		end := strings.IndexAny(text, "\r\n")
		if end < 0 {
			break // an unfinished line is not a line
		}
		line := text[:end]
		if strings.HasPrefix(text[end:], "\r\n") {
			end++
		}
		text = text[end+1:]

		if line == "" {
			lastID = id
			if data == "" {
				typ = ""
				continue
			}
			e := dispatched{Type: "message", Data: strings.TrimSuffix(data, "\n"), LastEventID: lastID}
			if typ != "" {
				e.Type = typ
			}
			events = append(events, e)
			data, typ = "", ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field { // "" is a comment
		case "event":
			typ = value
		case "data":
			data += value + "\n"
		case "id":
			if !strings.Contains(value, "\x00") {
				id = value
			}
		case "retry":
			if n, err := strconv.ParseUint(value, 10, 63); err == nil && !strings.HasPrefix(value, "+") {
				retry = int64(n)
			}
		}
	}
	return events, retry
}
