package handshake

import (
	"bytes"
	"encoding/hex"
)

// keyLog takes the traffic secrets of one connection from what crypto/tls logs in NSS' key
// log format: a label, the client's random number, and the secret.
type keyLog struct{ client, server secret }

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

// secrets returns those that the server reads and writes with.
func (k *keyLog) secrets() (read, write []byte) {
	return k.client.bytes[:k.client.n], k.server.bytes[:k.server.n]
}

func (k *keyLog) clear() { *k = keyLog{} }
