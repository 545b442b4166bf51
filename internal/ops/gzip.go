package ops

import (
	"millrace/channels"
	"millrace/server"
)

// The metrics of the content coding gzip.
var (
	gzipStreams      = desc("gzip_streams", "Open event streams with the content coding gzip.")
	gzipChannels     = desc("gzip_channels", "Channels that such streams are on.")
	gzipMessages     = desc("gzip_messages_total", "Messages written to such streams, by their form: compressed or stored.", "form")
	gzipText         = desc("gzip_text_bytes_total", "What the messages written to such streams would have been without the coding, in bytes.")
	gzipBytes        = desc("gzip_written_bytes_total", "What these messages were: the difference is what the coding has saved.")
	gzipDictionaries = desc("gzip_fresh_dictionaries_total", "Dictionaries that were begun anew, so that streams which have come can have compressed messages.")
	gzipTime         = desc("gzip_compress_seconds_total", "Time that loops have compressed, each message once.")
)

// collectGzip is Collect of the content coding gzip.
func collectGzip(n *server.Stats, b *channels.Figures, gauge, counter collect) {
	gauge(gzipStreams, float64(n.Gzip))
	gauge(gzipChannels, float64(b.Texts))
	counter(gzipMessages, float64(n.Compressed), "compressed")
	counter(gzipMessages, float64(n.Stored), "stored")
	counter(gzipText, float64(n.GzipText))
	counter(gzipBytes, float64(n.GzipBytes))
	counter(gzipDictionaries, float64(b.Fresh))
	counter(gzipTime, n.Compressing.Seconds())
}

// gzipState is how the content coding gzip is, for the dashboard.
type gzipState struct {
	Streams    int64  `json:"streams"`
	Text       uint64 `json:"text"`       // bytes of messages before the coding,
	Written    uint64 `json:"written"`    // and after it
	Compressed uint64 `json:"compressed"` // messages
	Stored     uint64 `json:"stored"`
}

func newGzipState(n *server.Stats) *gzipState {
	if n.Gzip == 0 && n.GzipText == 0 {
		return nil
	}
	return &gzipState{n.Gzip, n.GzipText, n.GzipBytes, n.Compressed, n.Stored}
}
