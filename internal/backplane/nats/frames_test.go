package nats

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/nats-io/nats.go"

	"millrace/channels"
	"millrace/internal/backplane/enginetest"
)

// fed is a connection at which a text comes, in pieces as its reader gives them.
type fed struct {
	net.Conn
	io.Reader
}

func (f fed) Read(p []byte) (int, error) { return f.Reader.Read(p) }
func (f fed) Close() error               { return nil }

// Ensure that what a real server says comes through as it is, in pieces of any size, and
// that of everything else only what stands before it does.
func TestFrames(t *testing.T) {
	good := "INFO {\"a\": 1}\r\n+OK\r\n-ERR 'no'\r\nPING\r\npong \r\ninfo\t{}\r\nMSG a 1 0\r\n\r\nmsg  a\t1 r 3 \r\nM\r\n\r\n" +
		"MSG b 2 27\r\nMSG b 2 99999999999999999\r\n\r\nHMSG a 1 12 14\r\nNATS/1.0\r\n\r\nxy\r\nhmsg a 1 r 0 1\r\nx\r\n" +
		fmt.Sprintf("MSG a 1 %d\r\n%s\r\nPING\r\n", 3*maxLine, strings.Repeat("\n", 3*maxLine))
	for bad, want := range map[string]string{
		"":                                     "",
		"MSG a 1 9223372036854775807\r\n":      "want 0 to 75497472",
		"MSG a 1 99999999999999999999\r\n":     "want 0 to 75497472",
		"MSG a 1 r 75497473\r\n":               "want 0 to 75497472",
		"MSG a 1 -1\r\n":                       "want 0 to 75497472",
		"MSG a 1 +1\r\n":                       "want 0 to 75497472",
		"MSG a 1 x\r\n":                        "want 0 to 75497472",
		"MSG a x 1\r\n":                        "subscription",
		"MSG a 1\r\n":                          "words",
		"MSG a 1 r 1 1\r\n":                    "words",
		"HMSG a 1 1\r\n":                       "words",
		"HMSG a 1 r 1 1 1\r\n":                 "words",
		"HMSG a 1 5 4\r\n":                     "want 0 to 4",
		"HMSG a 1 18446744073709551617 4":      "",
		"HMSG a 1 18446744073709551617 4\r\n":  "want 0 to 4",
		"MSG a 1 5\r77\r\n":                    `want \r\n at its end alone`,
		"MSG a 1 5\n":                          `want \r\n at its end alone`,
		"MSG\r\n":                              "words",
		"INFOS {}\r\n":                         "the line",
		"PINGS\r\n":                            "the line",
		"\r\n":                                 "the line",
		"HTTP/1.1 400 Bad Request\r\n":         "the line",
		"-ERR " + strings.Repeat("x", maxLine): "a line of more than 65536 bytes",
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader,
		} {
			got, err := io.ReadAll(&frames{Conn: fed{Reader: wrap(strings.NewReader(good + bad))}})
			if want == "" {
				if err != nil || string(got) != good+bad {
					t.Errorf("%.64q, %s: got %d bytes of %d, %v", bad, name, len(got), len(good+bad), err)
				}
				continue
			}
			if !errors.Is(err, errFrame) || !strings.Contains(err.Error(), want) {
				t.Errorf("%.64q, %s: the error %v, want %q in it", bad, name, err, want)
			}
			if rest, ok := strings.CutPrefix(string(got), good); !ok || strings.Contains(rest, "\n") {
				t.Errorf("%.64q, %s: %d bytes came, %.64q behind the good ones", bad, name, len(got), rest)
			}
		}
	}
}

// FuzzFrames has the client library read whatever a server says after the beginning, at
// once or in pieces. The library has to live, and to come to the end.
func FuzzFrames(f *testing.F) {
	const panics = "MSG a 1 9223372036854775807\r\n"
	for _, text := range []string{
		"PING\r\nMSG a 1 3\r\nxyz\r\nHMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nxy\r\n-ERR 'no'\r\n", panics,
		fmt.Sprintf("INFO \r\nMSG a 1 %d\r\n%s\r\n", len(panics), panics), fmt.Sprintf("INFO \nMSG a 1 %d\r\n%s\r\n", len(panics), panics),
		fmt.Sprintf("MSG a 1 1\r%d\r\n%s\r\n", len(panics)-2, panics[2:]), "HMSG a 1 18446744073709551617 9223372036854775807\r\n",
		"MSG a 1 2\r\nxyz\n" + panics, "MSG\f1 a 1 5\r\n" + panics, "+OK" + panics, "PONGS\r" + panics,
	} {
		f.Add(text, uint16(0))
		f.Add(text, uint16(7))
	}
	f.Fuzz(func(t *testing.T, text string, piece uint16) {
		o := nats.GetDefaultOptions()
		o.AllowReconnect, o.PingInterval = false, 0
		closed := make(chan struct{})
		o.AsyncErrorCB = func(*nats.Conn, *nats.Subscription, error) {}
		o.ClosedCB = func(*nats.Conn) { close(closed) }
		o.CustomDialer = &dialer{dial: func(string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go (&hostile{conn: theirs, begun: func() {
				go io.Copy(io.Discard, theirs)
				for rest := []byte(text); len(rest) > 0; {
					n := min(len(rest), cmp.Or(int(piece), len(rest)))
					if _, err := theirs.Write(rest[:n]); err != nil {
						break
					}
					rest = rest[n:]
				}
				theirs.Close()
			}}).serve("2.12.0")
			return ours, nil
		}}
		conn, err := o.Connect()
		if err != nil {
			t.Fatal(err)
		}
		conn.Subscribe("a", func(*nats.Msg) {}) // it may have been closed
		<-closed
	})
}

// Ensure that a payload without its end is refused.
func TestFramesPayloadEnd(t *testing.T) {
	_, err := io.ReadAll(&frames{Conn: fed{Reader: strings.NewReader("MSG a 1 2\r\nxyz\r\n")}})
	if !errors.Is(err, errFrame) || !strings.Contains(err.Error(), "want its end") {
		t.Errorf("a payload that is longer than its size: %v, want it refused", err)
	}
}

// Ensure that a size by which the client library would panic is refused within TLS, too.
func TestHostileSecure(t *testing.T) {
	a := enginetest.NewAuthority(t)
	pair, err := tls.LoadX509KeyPair(a.ServerCert, a.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer ln.Close()
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "INFO {\"version\":\"2.12.0\",\"headers\":true,\"tls_required\":true}\r\n")
			secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}})
			(&hostile{conn: secured, script: []string{"> MSG x 1 9223372036854775807"}}).answer()
		}
	})
	for _, scheme := range []string{"tls", "nats"} {
		u, _ := url.Parse(scheme + "://" + ln.Addr().String() + "?history=jetstream&" + a.Options(false))
		b, err := Open(u, Options{History: 9, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		b.Feed = channels.NewBroker(channels.Options{Backplane: b, History: 9, Numbered: true}).Feed()
		if err := b.run(t.Context()); !errors.Is(err, errFrame) {
			t.Errorf("%s: a session has ended by %v, want the size refused", scheme, err)
		}
	}
}

// Ensure that a node that is to speak TLS says nothing to a server that does not, and
// that what is no server of NATS is refused by what it says.
func TestHostileBegin(t *testing.T) {
	for begin, want := range map[string]string{
		"INFO {\"version\":\"2.12.0\"}\r\n": "nats: secure connection not available",
		"INFO x\r\n":                        `it begins with "INFO x\r\n", want INFO`,
		"-ERR 'no'\r\n":                     `it begins with "-ERR 'no'\r\n", want INFO`,
		strings.Repeat("x", maxLine+1):      "a line of more than 65536 bytes",
	} {
		u, _ := url.Parse("tls://127.0.0.1:4222")
		b, err := Open(u, Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan string, 1)
		dialTo(b, func() net.Conn {
			ours, theirs := net.Pipe()
			go func() {
				io.WriteString(theirs, begin)
				text, _ := io.ReadAll(theirs)
				heard <- string(text)
			}()
			return ours
		})
		if err := b.run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.64q: %v, want %q", begin, err, want)
		}
		if text := <-heard; text != "" {
			t.Errorf("%.64q: the server was told %q, want nothing", begin, text)
		}
	}
}

// BenchmarkFrames measures what a connection costs more: the same messages read with and
// without.
func BenchmarkFrames(b *testing.B) {
	message := fmt.Appendf(nil, "MSG millrace.room 12 100\r\n%0100d\r\n", 1)
	many := bytes.Repeat(message, 1000)
	for _, framed := range []bool{false, true} {
		b.Run(fmt.Sprintf("framed=%v", framed), func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			text := bytes.NewReader(nil)
			var conn net.Conn = fed{Reader: text}
			if framed {
				conn = &frames{Conn: conn}
			}
			r := bufio.NewReaderSize(conn, 32<<10)
			for i := 0; b.Loop(); i++ {
				if i%1000 == 0 {
					text.Reset(many)
				}
				if n, err := r.Discard(len(message)); err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
