package tlsrecord

import "errors"

// ErrFlight is the error of CountSealed for bytes that are not what it is asked about.
var ErrFlight = errors.New("TLS: what was written in the handshake does not fit its keys")

// CountSealed returns how many of the records in flight, which is all that one end wrote
// during the handshake, are sealed with the traffic secret that it writes with from then on.
// They are opened: so the secret, the suite and the count are proved by whatever there is of
// them, and not assumed. Those of other keys have to come before, and no part of a record
// may be left, or the count could be too small, and a nonce be used twice.
func CountSealed(id uint16, secret, flight []byte) (uint64, error) {
	var s State
	if err := s.Init(id, secret, secret, 0); err != nil {
		return 0, err
	}
	o := s.opener()
	for len(flight) > 0 {
		n, ok := Len(flight)
		if !ok || n > len(flight) || n > MaxRecord {
			return 0, ErrFlight
		}
		record := append([]byte(nil), flight[:n]...)
		flight = flight[n:]
		if contentType(record[0]) == typeData {
			if _, _, err := s.open(&o, record); err == nil {
				continue // which has counted it
			}
		}
		if s.readSeq > 0 {
			return 0, ErrFlight
		}
	}
	return s.readSeq, nil
}
