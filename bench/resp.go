package bench

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"millrace/internal/resp"
)

// RESP publishes with PUBLISH of the Redis protocol. Its methods are for one
// goroutine at a time.
type RESP struct {
	conn    net.Conn
	r       *bufio.Reader
	channel string
	buf     []byte
}

// publishTimeout bounds the time until one event, or a few, are accepted.
const publishTimeout = time.Minute

// DialRESP connects to a server that speaks the protocol, to publish to channel.
func DialRESP(addr, channel string) (*RESP, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &RESP{conn: conn, r: bufio.NewReader(conn), channel: channel}, nil
}

// Publish sends the events as one pipeline.
func (p *RESP) Publish(events [][]byte) error {
	p.conn.SetDeadline(time.Now().Add(publishTimeout))
	p.buf = p.buf[:0]
	for _, e := range events {
		p.buf = resp.AppendCommand(p.buf, []byte("PUBLISH"), []byte(p.channel), e)
	}
	if _, err := p.conn.Write(p.buf); err != nil {
		return err
	}
	for range events {
		if _, err := resp.ReadReply(p.r); err != nil {
			return err
		}
	}
	return nil
}

// Figures asks the server for a section of INFO, whose numbers it returns.
func (p *RESP) Figures(section string) (map[string]float64, error) {
	p.conn.SetDeadline(time.Now().Add(publishTimeout))
	if _, err := p.conn.Write(resp.AppendCommand(nil, "INFO", section)); err != nil {
		return nil, err
	}
	reply, err := resp.ReadReply(p.r)
	if err != nil {
		return nil, err
	}
	text, ok := reply.(string)
	if !ok {
		return nil, fmt.Errorf("INFO %s: %T, want a string", section, reply)
	}
	figures := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			figures[name] = n
		}
	}
	return figures, nil
}

// Close closes the connection.
func (p *RESP) Close() error { return p.conn.Close() }
