package tlsrecord

import (
	"encoding/binary"
	"errors"
)

// stateVersion is the first byte of what AppendState makes.
const stateVersion = 1

// StateLen is the length of what AppendState makes, in bytes: the version, suite, hand, barren
// and flags, a byte each, the sequence numbers and what is left of a ticket, and the keys and
// secrets at their full lengths.
const StateLen = 5 + 4 + 8 + 4 + 32 + 12 + 48 + 48

// ErrState is the error of Restore for bytes that AppendState has not made.
var ErrState = errors.New("no state of a TLS connection")

// AppendState appends all that s is, keys included, for a process that goes on with the
// connection: Restore makes the same of it. A copy is never to seal when another one does, or a
// nonce is used twice. So the process that hands it on clears s before the other one may write,
// and both clear the bytes when they are done with them.
func (s *State) AppendState(dst []byte) []byte {
	dst = append(dst, stateVersion, byte(s.suite), s.hand, s.barren, byte(s.flags))
	dst = binary.BigEndian.AppendUint32(dst, s.writeSeq)
	dst = binary.BigEndian.AppendUint64(dst, s.readSeq)
	dst = binary.BigEndian.AppendUint32(dst, s.ticket)
	dst = append(dst, s.writeKey[:]...)
	dst = append(dst, s.writeIV[:]...)
	dst = append(dst, s.writeSecret[:]...)
	return append(dst, s.readSecret[:]...)
}

// Restore sets s to what AppendState has made p of. With an error, an ErrState, s is as before.
func (s *State) Restore(p []byte) error {
	if len(p) != StateLen || p[0] != stateVersion {
		return ErrState
	}
	suite, hand, barren, flags := suite(p[1]), p[2], p[3], flags(p[4])
	if suite < aes128 || suite > chacha20 || hand > handHeader || barren > maxBarren+canceledBarren || flags >= inTicket<<1 {
		return ErrState
	}
	s.suite, s.hand, s.barren, s.flags = suite, hand, barren, flags
	s.writeSeq = binary.BigEndian.Uint32(p[5:])
	s.readSeq = binary.BigEndian.Uint64(p[9:])
	s.ticket = binary.BigEndian.Uint32(p[17:])
	p = p[21:]
	p = p[copy(s.writeKey[:], p):]
	p = p[copy(s.writeIV[:], p):]
	p = p[copy(s.writeSecret[:], p):]
	copy(s.readSecret[:], p)
	return nil
}
