package tlsrecord

import "slices"

// contentType says what a record carries.
type contentType uint8

const (
	typeAlert     contentType = 21
	typeHandshake contentType = 22
	typeData      contentType = 23
)

// keyUpdate is the message without its last byte, which says whether the peer is to update
// its key, too (RFC 8446, 4.6.3).
const keyUpdate = "\x18\x00\x00\x01"

const (
	newSessionTicket = 4 // the type of a message (RFC 8446, 4.6.1)
	handHeader       = 4 // bytes of a message's type and length
)

// AppendData appends a record of application data, MaxContent of it at most, and before it
// the KeyUpdate that is due, if one is. Behind an alert it appends nothing.
func (s *State) AppendData(dst, content []byte) []byte {
	if s.writeSeq >= rekeyAfter {
		s.flags |= owesUpdate
	}
	return s.append(s.AppendOwed(dst), typeData, content)
}

// AppendOwed appends the KeyUpdate that the peer waits for, if it waits: one, however often
// it has asked since the last one. It is to be called before anything else is sealed, and
// when there is nothing else.
func (s *State) AppendOwed(dst []byte) []byte {
	if !s.Owes() {
		return dst
	}
	return s.AppendKeyUpdate(dst, false)
}

// AppendKeyUpdate appends a KeyUpdate, which may ask for one of the peer, and seals with the
// next key from then on.
func (s *State) AppendKeyUpdate(dst []byte, ask bool) []byte {
	s.flags &^= owesUpdate
	request := byte(0)
	if ask {
		request = 1
	}
	if s.IsZero() {
		return dst
	}
	dst = s.append(dst, typeHandshake, append([]byte(keyUpdate), request))
	next := s.suite.next(s.writeSecret[:s.suite.secretLen()])
	copy(s.writeSecret[:], next)
	clear(next)
	s.writeSeq = 0
	s.deriveWriteKey()
	return dst
}

// AppendAlert appends an alert, the last that is sealed: CloseNotify, or why the connection
// fails.
func (s *State) AppendAlert(dst []byte, a Alert) []byte {
	const warning, fatal = 1, 2
	level := byte(fatal)
	if a == CloseNotify {
		level = warning
	}
	dst = s.append(dst, typeAlert, []byte{level, byte(a)})
	s.flags |= writeEnded
	return dst
}

// append seals one record, unless it may not: without keys there is none.
func (s *State) append(dst []byte, typ contentType, content []byte) []byte {
	if s.flags&writeEnded != 0 || s.IsZero() {
		return dst
	}
	n := len(content) + 1 + tagLen
	start := len(dst)
	dst = slices.Grow(dst, headerLen+n)
	dst = append(dst, byte(typeData), 3, 3, byte(n>>8), byte(n))
	dst = append(dst, content...)
	dst = append(dst, byte(typ))
	header, body := dst[start:start+headerLen], dst[start+headerLen:]
	nonce := nonceOf(s.writeIV[:], uint64(s.writeSeq))
	s.suite.aead(s.writeKey[:s.suite.keyLen()]).Seal(body[:0], nonce[:], body, header) // in its place
	dst = dst[:start+headerLen+n]
	s.traceSeal(dst[start:])
	s.writeSeq++
	return dst
}

// deriveWriteKey sets the key that writeSecret stands for.
func (s *State) deriveWriteKey() {
	key, iv := s.suite.keyAndIV(s.writeSecret[:s.suite.secretLen()])
	copy(s.writeKey[:], key)
	copy(s.writeIV[:], iv)
	clear(key)
}
