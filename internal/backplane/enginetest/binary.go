package enginetest

import (
	"encoding/base64"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"millrace/channels"
)

// binaries are payloads that are no text, or that an engine might change.
var binaries = []string{"\xff\x00\r\n\xfe", "\x00", "", "\x1emillrace \xff", strings.Repeat("\x80", 3000)}

// Binary holds an engine to payloads of any bytes: listeners of another node get them as
// they were published, on channels of each kind that takes them, and nodes hear what they
// tell each other.
func Binary(t *testing.T, address string, history int, open func(*url.URL, *slog.Logger) (Backplane, error)) {
	t.Helper()
	const binary, none, shard = "/binary", "/none", channels.ShardPrefix + "s"
	o := channels.Options{
		History: history,
		Payload: func(channel string) channels.Payload {
			return map[string]channels.Payload{binary: channels.Binary, none: channels.Unstreamed}[channel]
		},
		Decode: func(channel string, data []byte) ([]byte, error) {
			return []byte(base64.StdEncoding.EncodeToString(data)), nil
		},
	}
	one, two := StartLocal(t, address, o, open), StartLocal(t, address, o, open)
	heard := make(ear, 100)
	for _, channel := range []string{binary, none, shard} {
		two.Broker.Ports().Observe(heard, channel)
		stream := two.Open("", channel) // it waits until the engine has the channel
		for _, data := range binaries {
			one.Publish(channel, data)
			select {
			case got := <-heard:
				if got != data {
					t.Errorf("%s: %q was heard as %q", channel, data, got)
				}
			case <-time.After(patience):
				t.Fatalf("%s: %q was not heard within %v", channel, data, patience)
			}
			if channel == binary {
				stream.Want(base64.StdEncoding.EncodeToString([]byte(data)))
			}
		}
		if channel != binary {
			stream.WantNothing()
		}
	}
	hearsControl(t, one, two)
}

// ear is a listener.
type ear chan string

// Hear implements channels.Observer.
func (e ear) Hear(_ channels.Glob, _ string, data []byte) {
	select {
	case e <- string(data):
	default: // it must not wait
	}
}
