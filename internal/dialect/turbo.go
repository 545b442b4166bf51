package dialect

import (
	"fmt"

	"millrace/httpparse"
)

const (
	turboPath  = "/turbo"
	turboParam = "signed_stream_name" // that of Turbo's <turbo-stream-source>
)

// Turbo is spoken at /turbo, which is no channel: each parameter "signed_stream_name" is
// a name that Rails has signed, and each "channel" is a channel beside.
type Turbo struct{}

// Speaks tells whether path is that of Turbo.
func (Turbo) Speaks(path string) bool { return path == turboPath }

// Read adds the signed names and the channels of the query.
func (Turbo) Read(a *Asked, r *httpparse.Request, _ string) error {
	if err := a.addParams(r.Query, turboParam); err != nil {
		return err
	}
	if len(a.Signed)+len(a.Channels) == 0 {
		return fmt.Errorf("%s without the parameter %s", turboPath, turboParam)
	}
	return nil
}
