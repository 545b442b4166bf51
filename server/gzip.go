package server

import (
	"time"

	"millrace/channels"
	"millrace/internal/gzipwire"
)

// Streams with the content coding gzip. All that is written to one stands in the forms of
// internal/gzipwire. A message's compressed form refers to the text of its channel before it,
// so a stream can have it only if it got that text, with nothing between.

const (
	// compressTime bounds the time in which a loop compresses in one turn. Messages for
	// which there is none left are sent stored.
	compressTime = time.Millisecond
	// compressPatience is how long a turn waits, while other things are done, for a form that
	// another loop is making.
	compressPatience = time.Millisecond
	// textPing is how long a stream goes without text at most: a proxy that decompresses, or
	// a page that counts, does not see empty blocks.
	textPing = 30 * time.Second
)

// coding says what an answer has to do with the content coding gzip.
type coding uint8

const (
	codingFixed coding = iota // nothing: it is the same for all clients
	codingNone                // it has none, though others that accept it would get it
	codingGzip                // it has it
)

// headers are those that say so.
func (c coding) headers() string {
	return [...]string{"", "Vary: Accept-Encoding\r\n", "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"}[c]
}

// codingOf returns the coding of a stream on channels. One on several has none: it would be
// compressed after text of other channels, from whose lengths something could be told of
// them (BREACH).
func (l *loop) codingOf(to asker, channels []string) coding {
	switch {
	case len(l.cfg.Gzip) == 0 || len(channels) != 1 || !l.cfg.Gzip.Match(channels[0]):
		return codingFixed
	case to.prefersGzip:
		return codingGzip
	default:
		return codingNone
	}
}

// unbroken is the ordinal of the message since which a stream has had its channel's text
// with nothing between; 0 if the next message begins that. Ordinals go round and round, and a
// message of the ordinal 0 does no harm: it breaks.
type unbroken uint32

// next brings a stream on by a message with that Form, and returns the compressed form that
// it gets, or nil if it gets the message stored: lacks tells that the stream lacks the
// dictionary.
func (u *unbroken) next(f *channels.Form) (form []byte, lacks bool) {
	if f == nil {
		*u = 0
		return nil, false
	}
	if *u == 0 {
		*u = unbroken(f.Ordinal)
	}
	if form = f.Compressed(); form != nil && !u.covers(f.Dictionary) {
		return nil, true
	}
	return form, false
}

// covers tells whether a stream has had the text since the message of an ordinal. It is
// wrong, to the safe side, for streams that are unbroken for more than 2^31 messages.
func (u unbroken) covers(ordinal uint32) bool { return int32(ordinal-uint32(u)) >= 0 }

// unbroken returns that of a gzip stream.
func (l *loop) unbroken(s *stream) *unbroken {
	if s.isShared() {
		return &l.sharedOf(s).unbroken
	}
	return &l.connOf(s).unbroken
}

// emptyBlock is a ping that is no text.
var emptyBlock = []byte(gzipwire.Empty)

// ownText makes a part of a stream's body of dst[from:], which belongs to no channel.
func (l *loop) ownText(s *stream, dst []byte, from int) []byte {
	if !s.flags.is(gzipped) {
		return dst
	}
	*l.unbroken(s) = 0
	return gzipwire.StoreTail(dst, from)
}

// joinText makes a gzip stream of one that has begun, on one channel.
func (l *loop) joinText(s *stream) {
	ch := l.channels[s.channel]
	s.flags.set(gzipped, true)
	*l.unbroken(s) = 0
	l.gzips.set(ch, l.gzips.m[ch]+1)
	l.inbox.JoinText(ch.shared)
	l.counters.gzipStreams.Add(1)
}

// leaveText takes joinText back.
func (l *loop) leaveText(s *stream) {
	ch := l.channels[s.channel]
	if n := l.gzips.m[ch]; n > 1 {
		l.gzips.set(ch, n-1)
	} else {
		l.gzips.remove(ch)
	}
	l.inbox.LeaveText(ch.shared)
	l.counters.gzipStreams.Add(-1)
}

// prepare makes the forms of a group for the gzip streams among its subscribers, if there are
// any. It returns false while another loop makes one of them, for compressPatience.
func (l *loop) prepare(g *group) (ready bool) {
	if len(l.gzips.m) == 0 || g.gzip.isReady || len(g.messages) == 0 || l.gzips.m[g.channel] == 0 {
		return true
	}
	began := l.server.clock()
	l.compressBy = began + compressTime - l.turn.compressed
	awaited := l.inbox.Compress(g.messages, l.hasTime)
	now := l.server.clock()
	l.turn.compressed += now - began
	l.counters.compressing.Add(int64(now - began))
	if awaited && now-l.turn.began < compressPatience {
		return false
	}
	g.gzip.encode(g.messages)
	return true
}
