// Package dialect reads from a request which stream it asks for: the channels, the names
// that the application has signed, and the last event that the client has seen.
//
// A [Dialect] is one way to put that into a request: [Plain], whose paths are channels,
// [Turbo], whose streams have names signed by Rails, and [Nameless], whose channels
// may be those that the credentials name. Whether the client may have what
// it asks for is not decided here: that is package auth's.
//
// It is pure: no I/O, no clock, no state.
package dialect

import (
	"fmt"
	"slices"

	"millrace/channels"
	"millrace/httpparse"
)

// Dialect is one way to ask for a stream. Its methods are safe for concurrent use.
type Dialect interface {
	// Speaks tells whether requests for a path, which is given decoded, are of this
	// dialect.
	Speaks(path string) bool
	// Read adds to a what such a request asks for. Errors are fit for the answer.
	Read(a *Asked, r *httpparse.Request, path string) error
}

// Asked is what a request asks for.
type Asked struct {
	Channels    []string // decoded, valid names, each once
	Aliased     bool     // the first of Channels is what the path is an alias for
	Signed      []string // decoded, not verified, each once
	LastEventID []byte   // decoded; empty if the client says nothing; may refer to the request

	most int // channels and signed names together
}

// otherParams is how many parameters a query may have beside channels and signed names.
// They are read on event loops, several times, and a head has room for thousands.
const otherParams = 64

// Read sets a to what r asks for in the first of dialects that is spoken at its path, which
// is given decoded. Together that is at most so many channels and signed names. Errors
// are fit for the answer. The lists of a are used again.
func (a *Asked) Read(dialects []Dialect, r *httpparse.Request, path string, most int) error {
	*a = Asked{Channels: a.Channels[:0], Signed: a.Signed[:0], most: most}
	i := slices.IndexFunc(dialects, func(d Dialect) bool { return d.Speaks(path) })
	if i < 0 {
		return fmt.Errorf("%.64q is no path of a stream", path)
	}
	if err := dialects[i].Read(a, r, path); err != nil {
		return err
	}
	a.LastEventID = lastEventID(r)
	return nil
}

// addParams adds what the parameters of a query ask for: each "channel" is one, and each
// of signed has a signed name. It refuses a query with more than otherParams others.
func (a *Asked) addParams(query []byte, signed ...string) error {
	others := 0
	for key, value := range httpparse.Params(query) {
		isSigned := slices.Contains(signed, string(key))
		if !isSigned && string(key) != "channel" {
			if others++; others > otherParams {
				return fmt.Errorf("more than %d parameters beside channels, want fewer", otherParams)
			}
			continue
		}
		name, err := httpparse.AppendQueryDecoded(nil, value)
		switch {
		case err != nil:
		case isSigned:
			err = a.add(&a.Signed, string(name))
		default:
			err = a.addChannel(string(name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addChannel adds a channel, unless it is there.
func (a *Asked) addChannel(name string) error {
	if err := channels.CheckName([]byte(name)); err != nil {
		return err
	}
	return a.add(&a.Channels, name)
}

// add adds to one of the lists of a, unless it is there.
func (a *Asked) add(list *[]string, name string) error {
	if slices.Contains(*list, name) {
		return nil
	}
	if len(a.Channels)+len(a.Signed) >= a.most {
		return fmt.Errorf("more than %d channels in one stream, ask for fewer or raise --max-channels-per-stream", a.most)
	}
	*list = append(*list, name)
	return nil
}
