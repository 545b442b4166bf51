package server

import (
	"sync/atomic"

	"millrace/internal/h2"
)

// h2Codes are the codes that clients are told who break the rules of HTTP/2, and their names as
// labels of metrics. The last is for others.
var h2Codes = [...]struct {
	code h2.ErrCode
	name string
}{
	{h2.ProtocolError, "protocol"},
	{h2.FlowControlError, "flow control"},
	{h2.SettingsTimeout, "settings timeout"},
	{h2.StreamClosed, "stream closed"},
	{h2.FrameSizeError, "frame size"},
	{h2.RefusedStream, "too many streams"},
	{h2.CompressionError, "compression"},
	{h2.EnhanceYourCalm, "flood"},
}

// h2Faults counts how often clients have broken rules of HTTP/2, by code. Reading is safe for
// concurrent use.
type h2Faults [len(h2Codes)]atomic.Uint64

func (f *h2Faults) count(code h2.ErrCode) {
	for i := range h2Codes {
		if h2Codes[i].code == code {
			f[i].Add(1)
		}
	}
}

// addTo adds the counts to sum.
func (f *h2Faults) addTo(sum map[string]uint64) {
	for i := range h2Codes {
		sum[h2Codes[i].name] += f[i].Load()
	}
}
