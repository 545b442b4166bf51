package dialect

import (
	"fmt"

	"millrace/httpparse"
)

const turboPath = "/turbo"

// signedParams have names that Rails has signed: that of Turbo's <turbo-stream-source>, and
// those of AnyCable, whose signed names are of the same bytes.
var signedParams = []string{"signed_stream_name", "turbo_signed_stream_name", "signed_stream"}

// Turbo is spoken at /turbo, which is no channel: each parameter "signed_stream_name", or
// as AnyCable calls it, is a name that Rails has signed, and each "channel" is a channel
// beside.
type Turbo struct{}

// Speaks tells whether path is that of Turbo.
func (Turbo) Speaks(path string) bool { return path == turboPath }

// Read adds the signed names and the channels of the query.
func (Turbo) Read(a *Asked, r *httpparse.Request, _ string) error {
	if err := a.addParams(r.Query, signedParams...); err != nil {
		return err
	}
	if len(a.Signed)+len(a.Channels) == 0 {
		return fmt.Errorf("%s without the parameter %s", turboPath, signedParams[0])
	}
	return nil
}
