// Package tlsrecord is the record layer of TLS 1.3 behind a handshake that somebody else
// has made (RFC 8446, section 5): it seals what is to be written and opens what was read.
// It does no I/O, has no goroutine, and keeps of a connection one [State] of 160 bytes
// without pointers. Both ends of a connection may use it.
//
// What the caller owes it: State.AppendData and its like use up a sequence number, so what
// they have sealed has to be sent, whole and in that order, or the connection is to end; and
// a State is used by one goroutine, and by one copy of it only, or a nonce is used twice.
package tlsrecord

import (
	"crypto/tls"
	"errors"
	"fmt"
)

const (
	// MaxContent is the most that one record carries, in bytes.
	MaxContent = 1 << 14
	// MaxRecord is the length of the longest record that a peer may send, with its header.
	MaxRecord = headerLen + MaxContent + 256
	// Overhead is how much longer than its content a record is that AppendData makes.
	Overhead = headerLen + 1 + tagLen

	headerLen = 5
	tagLen    = 16 // of every suite
)

// rekeyAfter is the number of records after which the writing key is replaced: AES-GCM
// seals 2^24.5 safely (RFC 8446, 5.5).
const rekeyAfter = 1 << 24

// State is the record layer of one connection, both ways. It has no pointers. The zero
// State is none, which seals nothing and opens nothing: see Init.
type State struct {
	// What a write needs comes first, in one or two cache lines of 64 bytes.
	writeSeq                uint32   // rekeyAfter and a few at most
	ticket                  uint32   // bytes of a session ticket that are to come, or its length as far as hand goes
	writeKey                [32]byte // of writeSecret, and writeIV; those for reading are derived when they are needed
	writeIV                 [12]byte
	suite                   suite
	hand                    uint8 // bytes of a KeyUpdate, or of a session ticket's header, whose rest is in the next record
	barren                  uint8 // see maxBarren
	flags                   flags
	readSeq                 uint64
	writeSecret, readSecret [48]byte // as much of them as the suite has
}

type flags uint8

const (
	owesUpdate   flags = 1 << iota // the peer wants our key to be updated
	readEnded                      // nothing is read any more: close_notify came, or an error
	writeEnded                     // nothing is written any more: an alert has been sealed
	skipsTickets                   // session tickets are passed over: this is a client
	inTicket                       // one is under way
)

// ErrSuite is the error of Init for what is no cipher suite of TLS 1.3, or a secret that is
// not one of it.
var ErrSuite = errors.New("no secret of a TLS 1.3 cipher suite")

// Init sets s to a connection behind its handshake: the suite, as IANA numbers it, the
// traffic secrets of both directions, and how many records have been sealed with that for
// writing already.
func (s *State) Init(id uint16, read, write []byte, written uint64) error {
	suite, err := suiteOf(id)
	if err != nil {
		return err
	}
	if n := suite.secretLen(); len(read) != n || len(write) != n {
		return fmt.Errorf("%w: %s has secrets of %d bytes, these have %d and %d", ErrSuite, tls.CipherSuiteName(id), n, len(read), len(write))
	}
	*s = State{suite: suite, writeSeq: uint32(written)}
	copy(s.readSecret[:], read)
	copy(s.writeSecret[:], write)
	s.deriveWriteKey()
	return nil
}

// SkipTickets has session tickets passed over, which a server may send behind the handshake:
// nobody resumes by them. Without it they are refused, as a client's would be.
func (s *State) SkipTickets() { s.flags |= skipsTickets }

// Clear forgets the keys: all of s is zero then. It is not inlined, so that no compiler finds
// out that nobody reads what it writes.
//
//go:noinline
func (s *State) Clear() { *s = State{} }

// IsZero tells whether s is none.
func (s *State) IsZero() bool { return s.suite == 0 }

// Owes tells whether the peer waits for our KeyUpdate: see AppendOwed.
func (s *State) Owes() bool { return s.flags&owesUpdate != 0 }
