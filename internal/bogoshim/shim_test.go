package bogoshim

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
)

// unimplemented is the exit status for a test that a shim does not know how to pass. The
// runner skips it then.
const unimplemented = 89

// options are what the runner wants of a shim.
type options struct {
	port   string
	ipv6   bool
	id     uint64
	server bool

	cert, key, trust string
	staple           []byte
	schemes          []tls.SignatureScheme // of the certificate
	minVersion       uint
	maxVersion       uint
	no13             bool
	curves           []tls.CurveID // of a client
	name             string        // that a client asks for
	protocols        []string      // of ALPN

	resumptions     int
	writesFirst     bool
	updates         bool // a KeyUpdate before the first echo
	shutsDown       bool
	wantCloseNotify bool

	wantVersion    uint
	wantProtocol   string
	wantProtocols  string // that the client offers, as they stand on the wire
	wantName       string
	wantCurve      uint
	wantRetry      bool
	wantNoRetry    bool
	wantNoProtocol bool
}

// parse reads the flags of a shim. A flag that it does not know is an error.
func parse(args []string) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("shim", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.port, "port", "", "")
	f.BoolVar(&o.ipv6, "ipv6", false, "")
	f.Uint64Var(&o.id, "shim-id", 0, "")
	f.BoolVar(&o.server, "server", false, "")
	f.StringVar(&o.cert, "cert-file", "", "")
	f.StringVar(&o.key, "key-file", "", "")
	f.StringVar(&o.trust, "trust-cert", "", "")
	f.UintVar(&o.minVersion, "min-version", 0, "")
	f.UintVar(&o.maxVersion, "max-version", tls.VersionTLS13, "")
	f.BoolVar(&o.no13, "no-tls13", false, "")
	f.StringVar(&o.name, "host-name", "test", "")
	f.IntVar(&o.resumptions, "resume-count", 0, "")
	f.BoolVar(&o.writesFirst, "shim-writes-first", false, "")
	f.BoolVar(&o.updates, "key-update", false, "")
	f.BoolVar(&o.shutsDown, "shim-shuts-down", false, "")
	f.BoolVar(&o.wantCloseNotify, "check-close-notify", false, "")
	f.UintVar(&o.wantVersion, "expect-version", 0, "")
	f.StringVar(&o.wantProtocol, "expect-alpn", "", "")
	f.StringVar(&o.wantProtocols, "expect-advertised-alpn", "", "")
	f.StringVar(&o.wantName, "expect-server-name", "", "")
	f.UintVar(&o.wantCurve, "expect-curve-id", 0, "")
	f.BoolVar(&o.wantRetry, "expect-hrr", false, "")
	f.BoolVar(&o.wantNoRetry, "expect-no-hrr", false, "")
	f.BoolVar(&o.wantNoProtocol, "decline-alpn", false, "")
	f.Func("select-alpn", "", func(s string) error {
		o.protocols, o.wantProtocol = []string{s}, s
		return nil
	})
	f.Func("advertise-alpn", "", func(s string) (err error) {
		o.protocols, err = names(s)
		return err
	})
	f.Func("ocsp-response", "", func(s string) (err error) {
		o.staple, err = base64.StdEncoding.DecodeString(s)
		return err
	})
	numbers := func(name string, add func(uint16)) {
		f.Func(name, "", func(s string) error {
			n, err := strconv.ParseUint(s, 10, 16)
			add(uint16(n))
			return err
		})
	}
	numbers("signing-prefs", func(n uint16) { o.schemes = append(o.schemes, tls.SignatureScheme(n)) })
	numbers("curves", func(n uint16) { o.curves = append(o.curves, tls.CurveID(n)) })
	for _, always := range []string{"no-tls1", "no-tls11", "no-tls12", "expect-session-miss", "use-custom-verify-callback"} {
		f.Bool(always, false, "") // what is so anyway, or says nothing to us
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case o.no13, o.maxVersion < tls.VersionTLS13, o.minVersion > tls.VersionTLS13:
		return nil, errors.New("TLS 1.3 is all there is")
	case o.server && (o.curves != nil || o.wantCurve != 0 || o.wantRetry || o.wantNoRetry):
		return nil, errors.New("internal/handshake has no such setting")
	case !o.server && o.resumptions > 0:
		return nil, errors.New("a client of tlsrecord takes no session tickets")
	}
	return o, nil
}

// names reads a list of protocols as it stands on the wire.
func names(s string) (list []string, err error) {
	for s != "" {
		n := int(s[0])
		if n >= len(s) {
			return nil, errors.New("a list of protocols that is cut off")
		}
		list, s = append(list, s[1:1+n]), s[1+n:]
	}
	return list, nil
}

// certificate returns what the shim proves its name with, nil if that is nothing.
func (o *options) certificate() (*tls.Certificate, error) {
	if o.cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	pair.SupportedSignatureAlgorithms, pair.OCSPStaple = o.schemes, o.staple
	return &pair, err
}

// clientConfig is the configuration of a client. It has no cache for sessions, so that no
// tickets are sent to it.
func (o *options) clientConfig() (*tls.Config, error) {
	certificate, err := o.certificate()
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{ServerName: o.name, MinVersion: tls.VersionTLS13, NextProtos: o.protocols, CurvePreferences: o.curves, VerifyConnection: o.checkClient}
	if certificate != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	if o.trust != "" {
		text, err := os.ReadFile(o.trust)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		cfg.RootCAs.AppendCertsFromPEM(text)
	}
	return cfg, nil
}

// choose returns what chooses the certificate of a server, and checks what its client has
// said.
func (o *options) choose() (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	certificate, err := o.certificate()
	if err != nil {
		return nil, err
	}
	want, err := names(o.wantProtocols)
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if o.wantProtocols != "" && !slices.Equal(want, hello.SupportedProtos) {
			return nil, fmt.Errorf("the client offers %q, want %q", hello.SupportedProtos, want)
		}
		if o.wantName != "" && hello.ServerName != o.wantName {
			return nil, fmt.Errorf("the client asks for %q, want %q", hello.ServerName, o.wantName)
		}
		return certificate, nil
	}, err
}

// shim does what the runner wants, and returns the exit status of the process.
func shim(form string, args []string) int {
	if slices.Contains(args, "-is-handshaker-supported") {
		fmt.Println("No")
		return 0
	}
	o, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return unimplemented
	}
	connect, err := o.ends(form)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return unimplemented // a key of a kind that Go does not know, say
	}
	for i := 0; err == nil && i <= o.resumptions; i++ {
		err = o.exchange(connect, i == 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// exchange has one connection with the runner.
func (o *options) exchange(connect func(net.Conn) end, first bool) error {
	host := "127.0.0.1"
	if o.ipv6 {
		host = "::1"
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(host, o.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(binary.LittleEndian.AppendUint64(nil, o.id)); err != nil {
		return err
	}
	e := connect(conn)
	if err = o.talk(e, first); err != nil {
		// The runner may have something to send still, and is to read our alert all the same.
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
	}
	return err
}

// talk sends back what comes, each byte inverted.
func (o *options) talk(e end, first bool) error {
	if err := e.Handshake(); err != nil {
		return err
	}
	if err := o.check(e.protocol()); err != nil {
		return err
	}
	if o.writesFirst && first {
		if _, err := io.WriteString(e, "hello"); err != nil {
			return err
		}
	}
	if o.shutsDown {
		if err := e.CloseWrite(); err != nil || !o.wantCloseNotify {
			return err
		}
	}
	for buf := make([]byte, 500); ; {
		n, err := e.Read(buf)
		if errors.Is(err, io.EOF) {
			if o.wantCloseNotify {
				return e.CloseWrite()
			}
			return nil
		}
		if err != nil {
			return err
		}
		if o.shutsDown {
			return errors.New("data behind our end")
		}
		if o.updates {
			o.updates = false
			if err := e.update(); err != nil {
				return err
			}
		}
		for i := range buf[:n] {
			buf[i] ^= 0xff
		}
		if _, err := e.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// check compares the protocol that was agreed upon with what is wanted.
func (o *options) check(got string) error {
	switch {
	case o.wantVersion != 0 && o.wantVersion != tls.VersionTLS13:
		return fmt.Errorf("TLS 1.3 was agreed upon, want %#04x", o.wantVersion)
	case o.wantProtocol != "" && got != o.wantProtocol, o.wantNoProtocol && got != "":
		return fmt.Errorf("the protocol is %q, want %q", got, o.wantProtocol)
	}
	return nil
}

// checkClient compares what a client's handshake has come to with what is wanted.
func (o *options) checkClient(got tls.ConnectionState) error {
	switch {
	case o.wantCurve != 0 && uint(got.CurveID) != o.wantCurve:
		return fmt.Errorf("the curve is %v, want %d", got.CurveID, o.wantCurve)
	case o.wantRetry && !got.HelloRetryRequest, o.wantNoRetry && got.HelloRetryRequest:
		return fmt.Errorf("a HelloRetryRequest: %v", got.HelloRetryRequest)
	}
	return nil
}
