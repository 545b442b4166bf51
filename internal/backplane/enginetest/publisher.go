package enginetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// message names one message: the number of its channel, of its publisher, and its
// place among those of this publisher on this channel, from 1 on; or it is a gap.
type message struct {
	channel, publisher int16
	number             int32
}

// Numbers that stand for a gap.
const (
	gap  = 0  // something may be missing here
	anew = -1 // and the stream begins anew, with the oldest message that the node has
)

func (m message) String() string {
	return fmt.Sprintf("%d/%d/%d", m.channel, m.publisher, m.number)
}

// parseMessage reads the form that String writes.
func parseMessage(data string) (m message, err error) {
	_, err = fmt.Sscanf(data, "%d/%d/%d", &m.channel, &m.publisher, &m.number)
	return m, err
}

// publisher publishes at one node, a message on every channel in turn.
type publisher struct {
	id       int16
	node     *Node
	channels []string

	mu       sync.Mutex
	conn     net.Conn
	replies  *bufio.Reader
	accepted [][]bool // of each channel: whether the n-th message was accepted for certain
}

var errRefused = errors.New("refused")

// publish publishes the next message on a channel. Streams may get the message even if
// publish returns an error.
func (p *publisher) publish(ctx context.Context, channel int) (receivers int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.accepted) < len(p.channels) {
		p.accepted = append(p.accepted, nil)
	}
	m := message{int16(channel), p.id, int32(len(p.accepted[channel]) + 1)}
	receivers, err = p.command(ctx, "PUBLISH", p.channels[channel], m.String())
	p.accepted[channel] = append(p.accepted[channel], err == nil)
	return receivers, err
}

// pipeline publishes messages on a channel, all of them before it reads a reply, and
// returns how long it took until the first reply, and until all had come. It returns an
// error if one was refused.
func (p *publisher) pipeline(ctx context.Context, channel, messages int) (first, all time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.accepted) < len(p.channels) {
		p.accepted = append(p.accepted, nil)
	}
	if err := p.connect(ctx); err != nil {
		return 0, 0, err
	}
	var requests []byte
	for i := range messages {
		m := message{int16(channel), p.id, int32(len(p.accepted[channel]) + i + 1)}
		requests = appendCommand(requests, "PUBLISH", p.channels[channel], m.String())
	}
	begun := time.Now()
	p.conn.SetDeadline(begun.Add(patience))
	if _, err := p.conn.Write(requests); err != nil {
		return 0, 0, err
	}
	for i := range messages {
		_, refused := p.reply()
		if i == 0 {
			first = time.Since(begun)
		}
		p.accepted[channel] = append(p.accepted[channel], refused == nil)
		if err == nil {
			err = refused
		}
	}
	return first, time.Since(begun), err
}

// connect connects to the node's admin port, unless it is connected.
func (p *publisher) connect(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	_, admin := p.node.Addresses()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", admin)
	if err == nil {
		p.conn, p.replies = conn, bufio.NewReader(conn)
	}
	return err
}

// command sends a command to the node's admin port, and returns the number that is
// the answer.
func (p *publisher) command(ctx context.Context, args ...string) (int, error) {
	if err := p.connect(ctx); err != nil {
		return 0, err
	}
	n, err := p.exchange(args)
	if err != nil && !errors.Is(err, errRefused) {
		p.conn.Close()
		p.conn = nil
	}
	return n, err
}

func (p *publisher) exchange(args []string) (int, error) {
	p.conn.SetDeadline(time.Now().Add(patience))
	if _, err := p.conn.Write(appendCommand(nil, args...)); err != nil {
		return 0, err
	}
	return p.reply()
}

func appendCommand(dst []byte, args ...string) []byte {
	dst = fmt.Appendf(dst, "*%d\r\n", len(args))
	for _, arg := range args {
		dst = fmt.Appendf(dst, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return dst
}

// reply reads the number that is the answer to a command.
func (p *publisher) reply() (int, error) {
	line, err := p.replies.ReadString('\n')
	if err != nil {
		return 0, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if !strings.HasPrefix(line, ":") {
		return 0, fmt.Errorf("%w: %s", errRefused, line)
	}
	return strconv.Atoi(line[1:])
}

// run publishes on every channel once a period until ctx is done.
func (p *publisher) run(ctx context.Context, period time.Duration) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		for channel := range p.channels {
			if ctx.Err() != nil {
				return
			}
			p.publish(context.Background(), channel)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// close ends the connection.
func (p *publisher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}
