package dialect

import "millrace/httpparse"

// Nameless is spoken at / and /events, which are no channels where streams take grants:
// each parameter "channel" is one, and Turbo's and AnyCable's parameters have signed names.
// Where there are none, the credentials say which channels the stream gets.
type Nameless struct {
	// Aliases are the paths that stand for channels: there Plain is spoken.
	Aliases map[string]string
}

// Speaks tells whether path is one of those that name nothing.
func (n Nameless) Speaks(path string) bool {
	_, isAlias := n.Aliases[path]
	return !isAlias && (path == "/" || path == "/events")
}

// Read adds the channels and the signed names of the query.
func (Nameless) Read(a *Asked, r *httpparse.Request, _ string) error {
	return a.addParams(r.Query, signedParams...)
}
