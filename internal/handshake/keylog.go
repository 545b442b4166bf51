package handshake

import (
	"bytes"
	"encoding/hex"
)

// keyLog takes the traffic secrets of one connection from what crypto/tls logs in NSS' key
// log format: a label, the client's random number, and the secret.
type keyLog struct{ client, server secret } // by the end that writes with it

type secret struct {
	bytes [48]byte
	n     int
}

func (k *keyLog) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return len(line), nil
	}
	switch string(fields[0]) {
	case "CLIENT_TRAFFIC_SECRET_0":
		k.client.set(fields[2])
	case "SERVER_TRAFFIC_SECRET_0":
		k.server.set(fields[2])
	}
	return len(line), nil
}

// set takes a secret in hexadecimal; what is none becomes one of no length, which no suite
// has.
func (s *secret) set(text []byte) {
	*s = secret{}
	if hex.DecodedLen(len(text)) > len(s.bytes) {
		return
	}
	if n, err := hex.Decode(s.bytes[:], text); err == nil {
		s.n = n
	}
}

// value returns the secret, which is empty if none was logged.
func (s *secret) value() []byte { return s.bytes[:s.n] }

func (k *keyLog) clear() { *k = keyLog{} }
