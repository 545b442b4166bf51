package dialect

import "millrace/httpparse"

// Plain is spoken at every path: the path is a channel, or an alias for one, and each
// parameter "channel" is one more.
type Plain struct {
	// Aliases maps decoded paths to the channels that they stand for.
	Aliases map[string]string
}

// Speaks tells that every path is of this dialect.
func (Plain) Speaks(string) bool { return true }

// Read adds the channel of the path and those of the query.
func (p Plain) Read(a *Asked, r *httpparse.Request, path string) error {
	channel, isAlias := p.Aliases[path]
	if !isAlias {
		channel = path
	}
	if err := a.addChannel(channel); err != nil {
		return err
	}
	a.Aliased = isAlias
	return a.addParams(r.Query)
}
