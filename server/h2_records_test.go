package server

import (
	"crypto/tls"
	"testing"

	"millrace/channels"
	"millrace/internal/testenv"
	"millrace/internal/tlsrecord"
)

// dialRawH2 is dialRaw for HTTP/2, with what a connection begins with.
func dialRawH2(t testing.TB, s *Server) *rawClient {
	t.Helper()
	var keys keyLog
	conn := dialTLS(t, s, &tls.Config{KeyLogWriter: &keys, SessionTicketsDisabled: true, NextProtos: []string{"h2"}}).Conn.(*tls.Conn)
	r := &rawClient{t: t, Conn: conn.NetConn()}
	if err := r.state.Init(conn.ConnectionState().CipherSuite, keys.secret(t, "SERVER_TRAFFIC_SECRET_0"), keys.secret(t, "CLIENT_TRAFFIC_SECRET_0"), 0); err != nil {
		t.Fatal(err)
	}
	r.Write(r.state.AppendData(nil, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
		"\x00\x00\x00\x04\x00\x00\x00\x00\x00"+ // SETTINGS
		"\x00\x00\x00\x04\x01\x00\x00\x00\x00"))) // its acknowledgement
	testenv.Eventually(t, "the settings have come", func() bool {
		acknowledged, _ := ask(t.Context(), s.loops[0], func(l *loop) bool { return len(l.tables.m) == 0 && len(l.handshakes.m) == 0 })
		return acknowledged && s.Stats().H2 > 0
	})
	return r
}

// Ensure that what records have beside frames is bounded on a connection of HTTP/2, too: a client
// can have the server compute with KeyUpdates, or with padding.
func TestH2RecordFloods(t *testing.T) {
	s, _ := start(t, withTLS(t, Config{Loops: 1}), channels.Options{})
	for name, flood := range map[string]func(*tlsrecord.State) []byte{
		"KeyUpdates": func(state *tlsrecord.State) (records []byte) {
			for range 30 {
				records = state.AppendKeyUpdate(records, true)
			}
			return records
		},
		"a byte a record": func(state *tlsrecord.State) (records []byte) {
			for range 100 {
				records = state.AppendData(records, []byte{0})
			}
			return records
		},
	} {
		before := s.Stats().Closed[reasonTalks.String()]
		r := dialRawH2(t, s)
		r.Write(r.state.AppendData(nil, []byte("\x00\x40\x00\x7f\x00\x00\x00\x00\x00"))) // a frame of an unknown type, of 16 KiB
		for range 100 {
			if _, err := r.Write(r.state.AppendData(flood(&r.state), []byte{0})); err != nil {
				break
			}
		}
		testenv.Eventually(t, "a flood of "+name+" is ended", func() bool { return s.Stats().Closed[reasonTalks.String()] == before+1 })
	}
}

// Ensure that a connection of HTTP/2 does not keep the memory of long beginnings of frames for
// short ones.
func TestH2KeepsWhatCame(t *testing.T) {
	s, _ := start(t, withTLS(t, Config{Loops: 1}), channels.Options{})
	r := dialRawH2(t, s)
	frame := append([]byte("\x00\x40\x00\x7f\x00\x00\x00\x00\x00"), make([]byte, 16<<10)...)
	kept := func() (n int) {
		n, _ = ask(t.Context(), s.loops[0], func(l *loop) (n int) {
			for _, begun := range l.begun.m {
				n += cap(begun)
			}
			return n
		})
		return n
	}
	r.Write(r.state.AppendData(nil, frame[:16000]))
	testenv.Eventually(t, "most of a frame is kept", func() bool { return kept() >= 16000 })
	r.Write(r.state.AppendData(nil, append(frame[16000:], frame[:6]...)))
	testenv.Eventually(t, "little is kept of the next one", func() bool { n := kept(); return n > 0 && n <= 2*maxPart })
}
