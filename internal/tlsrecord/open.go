package tlsrecord

import (
	"crypto/cipher"
	"io"
)

// maxBarren bounds what a peer may send without any data, since the last data that it sent:
// a KeyUpdate and an empty record are one each, an alert that says nothing is canceledBarren.
const (
	maxBarren      = 32
	canceledBarren = 8
	// maxTicket bounds a session ticket, in bytes: crypto/tls takes no longer message either.
	maxTicket = 1 << 16
)

// opener opens records with the present key for reading.
type opener struct {
	aead cipher.AEAD
	iv   []byte
}

// Take opens the whole records at the beginning of data, in place. It returns what data of
// the application they had, which stands at the beginning of data then, and their length:
// what is behind them is the beginning of a record. Owes may tell something else afterwards.
//
// The error is io.EOF when the peer has sent close_notify, and else an [Error]; plain is
// what came before. What comes after an error is passed over, with io.EOF (RFC 8446, 6.1).
func (s *State) Take(data []byte) (plain []byte, used int, err error) {
	plain = data[:0]
	if s.flags&readEnded != 0 || s.IsZero() {
		return plain, len(data), io.EOF
	}
	var o opener
	for {
		n, err := recordLen(data[used:])
		if err != nil {
			s.flags |= readEnded
			return plain, used, err
		}
		if n == 0 || n > len(data)-used {
			return plain, used, nil
		}
		if o.aead == nil {
			o = s.opener()
		}
		typ, content, err := s.open(&o, data[used:used+n])
		used += n
		switch {
		case err != nil:
		case typ == typeData && len(content) > 0 && s.hand == 0:
			s.barren = 0
			plain = append(plain, content...) // which stands further behind
		default:
			err = s.control(&o, typ, content)
		}
		if err != nil {
			s.flags |= readEnded
			return plain, used, err
		}
	}
}

// Len returns the length of the record that data begins with, of whatever type; false if that
// is to come.
func Len(data []byte) (n int, ok bool) {
	if len(data) < headerLen {
		return 0, false
	}
	return headerLen + int(data[3])<<8 + int(data[4]), true
}

// recordLen returns the length of the record that data begins with, 0 if that is to come.
func recordLen(data []byte) (int, error) {
	if len(data) == 0 {
		return 0, nil
	}
	if contentType(data[0]) != typeData { // behind the handshake everything is sealed, as data
		return 0, &Error{Alert: UnexpectedMessage, Text: "a record that is not sealed"}
	}
	n, _ := Len(data)
	if n > MaxRecord {
		return 0, &Error{Alert: RecordOverflow, Text: "a record that is too long"}
	}
	return n, nil
}

func (s *State) opener() opener {
	key, iv := s.suite.keyAndIV(s.readSecret[:s.suite.secretLen()])
	defer clear(key)
	return opener{s.suite.aead(key), iv}
}

// open opens one record, in place, and returns what is in it without its padding.
func (s *State) open(o *opener, record []byte) (typ contentType, content []byte, err error) {
	header, body := record[:headerLen], record[headerLen:]
	nonce := nonceOf(o.iv, s.readSeq)
	inner, err := o.aead.Open(body[:0], nonce[:], body, header)
	if err != nil {
		return 0, nil, &Error{Alert: BadRecordMAC, Text: "a record that is not authentic"}
	}
	s.readSeq++
	if len(inner) > MaxContent+1 {
		return 0, nil, &Error{Alert: RecordOverflow, Text: "a record with too much in it"}
	}
	for i := len(inner) - 1; i >= 0; i-- {
		if inner[i] != 0 {
			return contentType(inner[i]), inner[:i], nil
		}
	}
	return 0, nil, &Error{Alert: UnexpectedMessage, Text: "a record of padding only"}
}

// control takes in what is no data of the application.
func (s *State) control(o *opener, typ contentType, content []byte) error {
	if s.hand > 0 && typ != typeHandshake {
		return &Error{Alert: UnexpectedMessage, Text: "a record between the parts of a message"}
	}
	switch typ {
	case typeData:
		return s.countBarren(1)
	case typeHandshake:
		return s.takeHandshake(o, content)
	case typeAlert:
		return s.takeAlert(content)
	}
	return &Error{Alert: UnexpectedMessage, Text: "a record of unknown type"}
}

// takeHandshake takes in a KeyUpdate, which may come in parts, and no other message. All
// but its last byte is known, so a count is what is kept of a part. Nothing may follow it
// in its record, which would be of the key before.
func (s *State) takeHandshake(o *opener, content []byte) error {
	if len(content) == 0 {
		return &Error{Alert: UnexpectedMessage, Text: "a part of a message that is empty"}
	}
	if s.flags&skipsTickets != 0 {
		var err error
		if content, err = s.skipTickets(content); err != nil || len(content) == 0 {
			return err
		}
	}
	for len(content) > 0 && int(s.hand) < len(keyUpdate) {
		switch {
		case content[0] == keyUpdate[s.hand]:
		case s.hand == 0:
			return &Error{Alert: UnexpectedMessage, Text: "a message of the handshake behind it"}
		default:
			return &Error{Alert: DecodeError, Text: "a KeyUpdate that is not one byte long"}
		}
		s.hand++
		content = content[1:]
	}
	if len(content) == 0 {
		return s.countBarren(1)
	}
	if len(content) > 1 {
		return &Error{Alert: UnexpectedMessage, Text: "something behind a KeyUpdate in its record"}
	}
	switch content[0] {
	case 0:
	case 1:
		s.flags |= owesUpdate
	default:
		return &Error{Alert: IllegalParameter, Text: "a KeyUpdate that requests something unknown"}
	}
	next := s.suite.next(s.readSecret[:s.suite.secretLen()])
	copy(s.readSecret[:], next)
	clear(next)
	s.readSeq, s.hand = 0, 0
	*o = s.opener()
	return s.countBarren(1)
}

// skipTickets passes over the session tickets that content begins or goes on with, and
// returns what is behind them.
func (s *State) skipTickets(content []byte) (rest []byte, err error) {
	for len(content) > 0 {
		switch {
		case s.flags&inTicket == 0 && (s.hand > 0 || content[0] != newSessionTicket):
			return content, nil
		case s.flags&inTicket == 0:
			s.flags |= inTicket
			s.hand, s.ticket, content = 1, 0, content[1:]
		case s.hand < handHeader:
			s.ticket = s.ticket<<8 | uint32(content[0])
			s.hand, content = s.hand+1, content[1:]
		default:
			n := min(int(s.ticket), len(content))
			s.ticket, content = s.ticket-uint32(n), content[n:]
		}
		if s.hand < handHeader {
			continue
		}
		if s.ticket > maxTicket {
			return nil, &Error{Alert: IllegalParameter, Text: "a session ticket that is too long"}
		}
		if s.ticket == 0 { // the whole of it has come
			s.flags &^= inTicket
			s.hand = 0
			if err := s.countBarren(1); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

func (s *State) takeAlert(content []byte) error {
	if len(content) != 2 {
		return &Error{Alert: DecodeError, Text: "an alert that is not two bytes"}
	}
	switch a := Alert(content[1]); a { // its level says nothing (RFC 8446, 6)
	case CloseNotify:
		return io.EOF
	case userCanceled:
		return s.countBarren(canceledBarren)
	default:
		return &Error{Alert: a, ByPeer: true}
	}
}

// countBarren counts something without data for the application.
func (s *State) countBarren(n uint8) error {
	if s.barren += n; s.barren > maxBarren {
		return &Error{Alert: UnexpectedMessage, Text: "too many records without data"}
	}
	return nil
}
