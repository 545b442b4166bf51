package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"millrace/internal/certs"
	"millrace/internal/eventstream"
	"millrace/internal/redact"
)

// firstRetry is the reconnection delay until the server tells another.
const firstRetry = 3 * time.Second

// askTimeout is how long a server that speaks no HTTP may take to show what it is.
const askTimeout = 3 * time.Second

// errRefused is wrapped by errors about an answer that is no event stream. To
// ask again would not help.
var errRefused = errors.New("no event stream")

// errDone is returned when all is printed that was asked for.
var errDone = errors.New("done")

// subscribeCommand prints an event stream.
type subscribeCommand struct {
	URL string `arg:"" name:"url" help:"Where the stream is, such as localhost:8080/rooms/42. http:// may be left out."`

	TLSCA string `name:"tls-ca" env:"-" placeholder:"FILE" help:"Authorities that may have signed the certificate of an https:// stream, as PEM. [those of this host]"`

	Count int  `short:"n" env:"-" min:"0" default:"0" placeholder:"N" help:"Events after which to end; 0 for never. [${default}]"`
	JSON  bool `name:"json" env:"-" xor:"form" help:"Print each event as a line of JSON, with data, event and id. [off]"`
	Raw   bool `env:"-" xor:"form" help:"Print the bytes of the stream as they come. [off]"`
}

// Run prints the data of each event with a line break after it, until ctx is
// done. Events of millrace itself, such as gaps, are told on stderr. When the connection is lost it comes back with Last-Event-ID, as an
// EventSource does; only the first connection must succeed.
func (c *subscribeCommand) Run(ctx context.Context) error {
	address, err := streamURL(c.URL)
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	out, notes := bufio.NewWriter(os.Stdout), io.Writer(os.Stderr)
	to := io.Writer(out)
	if isTerminal(os.Stdout) {
		to = visible{out}
	}
	if isTerminal(os.Stderr) {
		notes = visible{notes}
	}
	s := &subscription{
		url:    address,
		client: client,
		stream: eventstream.Reader{Retry: firstRetry},
		out:    out,
		notes:  notes,
		print:  func(ev eventstream.Event) error { _, err := fmt.Fprintln(to, ev.Data); return err },
		left:   c.Count,
	}
	if c.Raw {
		s.stream.Raw = to
		s.print = func(eventstream.Event) error { return nil }
	}
	if c.JSON {
		lines := json.NewEncoder(to)
		lines.SetEscapeHTML(false)
		s.print = func(ev eventstream.Event) error { return lines.Encode(jsonEvent{ev.ID, ev.Type, ev.Data}) }
	}
	err = s.run(ctx)
	if err == nil {
		err = out.Flush()
	}
	return err
}

// client returns the one that asks for streams.
func (c *subscribeCommand) client() (*http.Client, error) {
	if c.TLSCA == "" {
		return http.DefaultClient, nil
	}
	pool, err := certs.Authorities(c.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("%w: --tls-ca: %s: %w", errUsage, c.TLSCA, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	return &http.Client{Transport: transport}, nil
}

// jsonEvent is an event as --json prints it.
type jsonEvent struct {
	ID   string `json:"id,omitempty"`    // the last that was told
	Type string `json:"event,omitempty"` // "" for "message"
	Data string `json:"data"`
}

// streamURL returns the URL that text means.
func streamURL(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%w: the URL %q, want http://HOST:PORT/CHANNEL or https", errUsage, text)
	}
	return text, nil
}

// subscription is a stream that is reconnected whenever it breaks.
type subscription struct {
	url    string
	client *http.Client
	stream eventstream.Reader
	out    *bufio.Writer
	notes  io.Writer // for everything but data
	print  func(eventstream.Event) error
	left   int  // events until errDone; none if it begins at 0
	opened bool // there has been a stream
}

// run returns nil when ctx is done or left events have come.
func (s *subscription) run(ctx context.Context) error {
	for {
		err := s.connect(ctx)
		switch {
		case errors.Is(err, errDone) || ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.ECONNREFUSED) && !s.opened:
			return fmt.Errorf("%s refuses connections: is millrace running there?", redact.Text(s.url))
		case !s.opened && !errors.Is(err, errRefused) && speaksRedis(ctx, s.url):
			return fmt.Errorf("%s speaks the Redis protocol, so it is an admin port: streams are at the public port, 8080 by default", redact.Text(s.url))
		case errors.Is(err, errRefused) || !s.opened:
			return err
		}
		fmt.Fprintf(s.notes, "millrace: the stream has ended (%v), connecting again in %v\n", err, s.stream.Retry)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.stream.Retry):
		}
	}
}

// connect opens the stream and prints it. That it ends is an error, errDone
// among others.
func (s *subscription) connect(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Cache-Control", "no-cache")
	if s.stream.LastID != "" {
		request.Header.Set("Last-Event-ID", s.stream.LastID)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := checkStream(response); err != nil {
		return fmt.Errorf("%s: %w", redact.Text(s.url), err)
	}
	s.opened = true
	fmt.Fprintf(s.notes, "millrace: connected to %s\n", redact.Text(s.url))
	s.stream.Reset(bufio.NewReader(beforeRead{response.Body, s.out.Flush}))
	for {
		ev, err := s.stream.Next()
		if err == nil && !ev.Empty {
			err = s.dispatch(ev)
		}
		if err != nil {
			return err
		}
	}
}

// dispatch prints ev. It returns errDone after the last one.
func (s *subscription) dispatch(ev eventstream.Event) error {
	if kind, ours := strings.CutPrefix(ev.Type, "millrace."); ours { // no publisher's
		if kind != "start" {
			fmt.Fprintf(s.notes, "millrace: %s: %s\n", kind, ev.Data)
		}
		return nil
	}
	if err := s.print(ev); err != nil {
		return err
	}
	if s.left--; s.left == 0 {
		return errDone
	}
	return nil
}

// speaksRedis tells whether a URL leads to a Redis, or to millrace's admin port. They end
// a connection that looks like HTTP in silence, or with a reply that is not HTTP.
func speaksRedis(ctx context.Context, address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(askTimeout))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return false
	}
	answer, _ := bufio.NewReader(conn).ReadString('\n')
	return answer == "+PONG\r\n" || strings.HasPrefix(answer, "-NOAUTH ")
}

// checkStream reports why r is no event stream.
func checkStream(r *http.Response) error {
	if r.StatusCode != http.StatusOK {
		const most = 200 // bytes of the answer that are shown
		body, _ := io.ReadAll(io.LimitReader(r.Body, most))
		text := strings.TrimSpace(string(body))
		if text != "" {
			text = ": " + text
		}
		return fmt.Errorf("%w, the answer is %s%s", errRefused, r.Status, text)
	}
	kind := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(kind); err != nil || media != "text/event-stream" {
		return fmt.Errorf("%w, the answer is of type %q, want text/event-stream", errRefused, kind)
	}
	return nil
}
