package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"errors"
	"testing"
)

// Ensure that a client passes over session tickets, in whatever pieces they come, and reads on
// behind them; and that they are bounded, and refused where nobody skips them.
func TestSessionTickets(t *testing.T) {
	ticket := func(n int) []byte {
		return append([]byte{newSessionTicket, byte(n >> 16), byte(n >> 8), byte(n)}, bytes.Repeat([]byte{7}, n)...)
	}
	// update is a KeyUpdate in the same record as what stands before it.
	update := func(s *State, before []byte) []byte {
		record := seal(s, typeHandshake, string(before)+keyUpdate+"\x00")
		copy(s.writeSecret[:], s.suite.next(s.writeSecret[:s.suite.secretLen()]))
		s.writeSeq = 0
		s.deriveWriteKey()
		return record
	}
	pieces := func(s *State, message []byte, size int) (sealed []byte) {
		for len(message) > 0 {
			n := min(size, len(message))
			sealed = append(sealed, seal(s, typeHandshake, string(message[:n]))...)
			message = message[n:]
		}
		return sealed
	}
	two := append(ticket(120), ticket(3)...)
	for _, c := range []struct {
		name string
		send func(s *State) []byte
		want Alert // CloseNotify for none
	}{
		{"one", func(s *State) []byte { return pieces(s, ticket(200), 1000) }, CloseNotify},
		{"two in a record", func(s *State) []byte { return pieces(s, two, 1000) }, CloseNotify},
		{"two in pieces of 1", func(s *State) []byte { return pieces(s, two, 1) }, CloseNotify},
		{"two in pieces of 7", func(s *State) []byte { return pieces(s, two, 7) }, CloseNotify},
		{"an empty one", func(s *State) []byte { return pieces(s, ticket(0), 1000) }, CloseNotify},
		{"a KeyUpdate behind it", func(s *State) []byte { return update(s, ticket(9)) }, CloseNotify},
		{"data within", func(s *State) []byte {
			return append(pieces(s, ticket(9)[:6], 1000), seal(s, typeData, "x")...)
		}, UnexpectedMessage},
		{"too long", func(s *State) []byte { return pieces(s, ticket(maxTicket + 1)[:100], 1000) }, IllegalParameter},
		{"too many", func(s *State) []byte { return pieces(s, bytes.Repeat(ticket(1), maxBarren+1), 1000) }, UnexpectedMessage},
		{"a certificate behind it", func(s *State) []byte { return pieces(s, append(ticket(9), 11, 0, 0, 1, 0), 1000) }, UnexpectedMessage},
	} {
		for _, id := range suites {
			a, b := pair(t, id)
			b.SkipTickets()
			_, _, err := b.Take(c.send(a))
			var refusal *Error
			if c.want != CloseNotify {
				if !errors.As(err, &refusal) || refusal.Alert != c.want {
					t.Errorf("%s, %s: %v, want alert %d", c.name, tls.CipherSuiteName(id), err, c.want)
				}
				continue
			}
			plain, _, err2 := b.Take(seal(a, typeData, "x"))
			if err != nil || err2 != nil || string(plain) != "x" {
				t.Errorf("%s, %s: %v, then %q and %v, want \"x\"", c.name, tls.CipherSuiteName(id), err, plain, err2)
			}
		}
	}
	a, b := pair(t, suites[0])
	var refusal *Error
	if _, _, err := b.Take(pieces(a, ticket(9), 1000)); !errors.As(err, &refusal) || refusal.Alert != UnexpectedMessage {
		t.Errorf("without SkipTickets: %v, want alert %d", err, UnexpectedMessage)
	}
}
