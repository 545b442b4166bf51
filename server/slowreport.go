package server

import (
	"cmp"
	"context"
	"slices"
	"time"
)

const (
	// maxReported bounds how many slow readers one answer names.
	maxReported = 1000
	// maxConsidered bounds how many of its slow readers a loop looks at for one
	// answer, which takes it some 5 ms. With more, it looks at any of them.
	maxConsidered = 1 << 16
)

// SlowReader is a stream that is behind.
type SlowReader struct {
	Address  string
	Protocol string // plain, tls or h2
	Channels []string
	Loop     int
	// Behind is for how long it has been behind.
	Behind time.Duration
	// Missing is how many messages are kept for it that it has not got, or not
	// the whole of.
	Missing int
	// Lapped tells that a message that it misses is no longer kept: its next message
	// ends it.
	Lapped bool
}

// SlowReaders returns those n streams that have been behind for longest, the
// worst first. With an error, which is a StuckError, those of some loops are
// missing. Safe for concurrent use.
func (s *Server) SlowReaders(ctx context.Context, n int) ([]SlowReader, error) {
	n = min(n, maxReported)
	found, err := askAll(ctx, s, func(l *loop) []SlowReader { return l.slowReaders(n) })
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b SlowReader) int { return cmp.Compare(b.Behind, a.Behind) })
	return all[:min(n, len(all))], err
}

// slowReaders is SlowReaders of one loop.
func (l *loop) slowReaders(n int) []SlowReader {
	type candidate struct {
		id   streamID
		fell time.Duration
	}
	var worst []candidate // the longest behind first, n at most
	considered := 0
	for id, r := range l.readers.m {
		if considered++; considered > maxConsidered {
			break
		}
		if l.at(id).state == stateHTTP2 { // no stream
			continue
		}
		at, _ := slices.BinarySearchFunc(worst, r.fell, func(c candidate, fell time.Duration) int {
			return cmp.Compare(c.fell, fell)
		})
		if at < n {
			worst = slices.Insert(worst, at, candidate{id, r.fell})
			worst = worst[:min(n, len(worst))]
		}
	}
	readers := make([]SlowReader, len(worst))
	for i, w := range worst {
		s := l.at(w.id)
		l.chans = l.channelsOf(s, l.chans[:0])
		r := &readers[i]
		r.Address, r.Loop, r.Behind = l.peerOf(l.connOf(s)).String(), int(l.number), l.now-w.fell
		r.Protocol = l.protocolOf(s)
		reader := l.readers.m[w.id]
		r.Missing, r.Lapped = l.inbox.Missing(s.cursor, reader.told, l.chans...)
		if reader.messages > 0 {
			r.Missing++
		}
		for _, channel := range l.chans {
			r.Channels = append(r.Channels, channel.Name())
		}
	}
	return readers
}

// protocolOf tells what a stream came over: in the clear, over TLS by HTTP/1.1, or by HTTP/2.
func (l *loop) protocolOf(s *stream) string {
	switch {
	case s.isShared():
		return "h2"
	case s.flags.is(secure):
		return "tls"
	}
	return "plain"
}
