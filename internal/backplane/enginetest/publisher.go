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

// What the number of a gap says.
const (
	gap  = 0  // something may be missing here
	anew = -1 // and what comes is all that a node has, from the oldest message on
)

func (m message) String() string {
	return fmt.Sprintf("%d/%d/%d", m.channel, m.publisher, m.number)
}

// parseMessage reads what String writes.
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

// publish publishes the next message on a channel. That it returns an error need
// not mean that nobody gets the message.
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

// command sends a command to the node's admin port, and returns the number that is
// the answer.
func (p *publisher) command(ctx context.Context, args ...string) (int, error) {
	if p.conn == nil {
		_, admin := p.node.Addresses()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", admin)
		if err != nil {
			return 0, err
		}
		p.conn, p.replies = conn, bufio.NewReader(conn)
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
	request := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := p.conn.Write(request); err != nil {
		return 0, err
	}
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
