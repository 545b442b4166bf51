package crowd

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// opener opens streams of one kind, by net/http.
type opener struct {
	client http.Client
	url    string // without a path
	host   string
	gzip   bool
}

func newOpener(cfg *Config, k Kind) *opener {
	o := &opener{url: "http://" + cfg.Public, host: cfg.Public, gzip: k == KindGzip}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: -1}
	if k == KindTLS || k == KindH2 {
		o.url, o.host = "https://"+cfg.TLS, cfg.Host
		transport.TLSClientConfig = clientTLS(cfg)
		transport.ForceAttemptHTTP2 = k == KindH2
		transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
		if k == KindH2 {
			transport.TLSClientConfig.NextProtos = []string{"h2"}
		}
	}
	o.client.Transport = transport
	return o
}

// clientTLS believes the one certificate.
func clientTLS(cfg *Config) *tls.Config {
	return &tls.Config{
		ServerName: cfg.Host, MinVersion: tls.VersionTLS13,
		InsecureSkipVerify: true, // the next line is stricter
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 || !bytes.Equal(raw[0], cfg.Cert) {
				return errors.New("a certificate that is not the server's")
			}
			return nil
		},
	}
}

// target is the path and query of a stream on channels.
func target(channels []string) string {
	t := channels[0]
	for i, name := range channels[1:] {
		t += string("?&"[min(i, 1)]) + "channel=" + url.QueryEscape(name)
	}
	return t
}

// stream opens one, after the event of an id if there is one.
func (o *opener) stream(ctx context.Context, channels []string, lastID string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", o.url+target(channels), nil)
	if err != nil {
		return nil, err
	}
	request.Host = o.host
	request.Header.Set("Accept", "text/event-stream")
	if o.gzip {
		request.Header.Set("Accept-Encoding", "gzip")
	}
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := o.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("%w: status %s", errFault, response.Status)
	}
	if !o.gzip {
		return response.Body, nil
	}
	if coding := response.Header.Get("Content-Encoding"); coding != "gzip" {
		response.Body.Close()
		return nil, fmt.Errorf("%w: content coding %q, want gzip", errFault, coding)
	}
	inflated, err := gzip.NewReader(response.Body)
	if err != nil {
		response.Body.Close()
		return nil, err
	}
	return both{inflated, response.Body}, nil
}

// both reads from one and closes the other.
type both struct {
	io.Reader
	io.Closer
}

// dialStream opens a stream by hand, with a socket that has room for so many bytes; 0 for the
// usual. secure says over TLS.
func dialStream(cfg *Config, room int, secure bool, channels []string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: patience, Control: smallWindow(room)}
	address, host := cfg.Public, cfg.Public
	if secure {
		address, host = cfg.TLS, cfg.Host
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if secure {
		settings := clientTLS(cfg)
		settings.NextProtos = []string{"http/1.1"}
		conn = tls.Client(conn, settings)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", target(channels), host); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
