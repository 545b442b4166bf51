package handshake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"

	"millrace/internal/tlsrecord"
)

// selfTestTime is how long the handshake of a server with itself may take; it takes some
// milliseconds.
const selfTestTime = 10 * time.Second

// selfTest makes a handshake with crypto/tls as the client, and has a record pass each way.
func (s *Server) selfTest() error {
	certificate, err := ephemeral()
	if err != nil {
		return err
	}
	test := newServer(Config{
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil },
		Protocols:   s.base.NextProtos,
	})
	ours, theirs := net.Pipe()
	defer ours.Close()
	ours.SetDeadline(time.Now().Add(selfTestTime))
	client := make(chan error, 1)
	go func() {
		defer theirs.Close()
		client <- echo(tls.Client(theirs, &tls.Config{
			InsecureSkipVerify: true, NextProtos: s.base.NextProtos,
			ServerName: "self.test", ClientSessionCache: tls.NewLRUClientSessionCache(1), // for a ticket, which is sealed in the handshake
		}))
	}()
	notified := make(chan struct{}, 1)
	c := test.Start(0, func(*Conn) {
		select {
		case notified <- struct{}{}:
		default:
		}
	})
	defer test.Wait()
	defer c.Close()
	go func() { // closing ours ends it
		for buf := make([]byte, 4096); ; {
			n, err := ours.Read(buf)
			if err != nil {
				c.End()
				return
			}
			c.Feed(buf[:n])
		}
	}()
	for over := false; !over; {
		select {
		case <-notified:
		case <-time.After(selfTestTime):
			return errors.New("it does not end")
		}
		n, err := ours.Write(c.Unsent())
		if err != nil {
			return err
		}
		c.Sent(n)
		if over, err = c.Result(); err != nil {
			return err
		}
	}
	return errors.Join(c.exchange(ours), <-client)
}

const said = "millrace"

// echo is the client: it sends back what it reads.
func echo(conn *tls.Conn) error {
	buf := make([]byte, len(said))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return err
	}
	_, err := conn.Write(buf)
	return err
}

// exchange sends a record to the client and opens what comes back.
func (c *Conn) exchange(conn net.Conn) error {
	var state tlsrecord.State
	sealed := c.Take(&state)
	if _, err := conn.Write(state.AppendData(nil, []byte(said))); err != nil {
		return err
	}
	for deadline := time.Now().Add(selfTestTime); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		sealed, c.in = append(sealed, c.in...), nil
		ended := c.ended
		c.mu.Unlock()
		plain, used, err := state.Take(sealed)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if string(plain) == said {
			return nil
		}
		if len(plain) > 0 || ended || time.Now().After(deadline) {
			return fmt.Errorf("the record that came back has %q, want %q", plain, said)
		}
		sealed = sealed[used:]
	}
}

// ephemeral returns a certificate for the test.
func ephemeral() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"self.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
