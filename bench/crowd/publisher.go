package crowd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"millrace/internal/resp"
)

// publisher publishes numbered events on its channel, on a connection that it keeps.
type publisher struct {
	channel string
	size    int
	filling string

	turn   sync.Mutex // held while an event is on its way, and while it pauses
	paused bool       // of the crowd's goroutine
	mu     sync.Mutex // guards the rest
	at     []time.Time
	// uncertain are those without a reply: the connection was lost before it.
	uncertain map[uint64]bool
}

func newPublisher(channel string, size int) *publisher {
	return &publisher{channel: channel, size: size, filling: strings.Repeat(channel, size/len(channel)+2), uncertain: make(map[uint64]bool)}
}

// payload is the data of event n, which is 1 for the first: all of it follows from channel,
// number and size.
func (p *publisher) payload(n uint64) string {
	head := fmt.Sprintf("%s %d ", p.channel, n)
	from := int(n) % len(p.channel)
	return head + p.filling[from:][:max(p.size-len(head), 0)]
}

// sent returns when event n was published.
func (p *publisher) sent(n uint64) (at time.Time, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == 0 || n > uint64(len(p.at)) {
		return at, false
	}
	return p.at[n-1], true
}

func (p *publisher) last() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint64(len(p.at))
}

func (p *publisher) isUncertain(n uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.uncertain[n]
}

// next gives out the number of one more event.
func (p *publisher) next() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = append(p.at, time.Now())
	return uint64(len(p.at))
}

func (p *publisher) lost(n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uncertain[n] = true
}

func (p *publisher) pause() {
	if !p.paused {
		p.turn.Lock()
	}
	p.paused = true
}

// goOn ends a pause, if there is one.
func (p *publisher) goOn() {
	if p.paused {
		p.turn.Unlock()
	}
	p.paused = false
}

// run publishes so many events a second until ctx ends.
func (p *publisher) run(ctx context.Context, admin string, rate int, seen *seen) {
	ticker := time.NewTicker(time.Second / time.Duration(max(rate, 1)))
	defer ticker.Stop()
	var conn *redis
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if conn == nil {
			var err error
			if conn, err = dialRedis(admin); err != nil {
				conn = nil
				continue // it was counted when the connection was lost
			}
		}
		p.turn.Lock()
		n := p.next()
		began := time.Now()
		_, err := conn.ask("PUBLISH", p.channel, p.payload(n))
		p.turn.Unlock()
		seen.published(time.Since(began))
		if err != nil {
			p.lost(n)
			seen.end(KindPublisher, err)
			conn.Close()
			conn = nil
		}
	}
}

// burst publishes so many events on a connection of its own.
func (p *publisher) burst(admin string, events int) error {
	conn, err := dialRedis(admin)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range events {
		n := p.next()
		if _, err := conn.ask("PUBLISH", p.channel, p.payload(n)); err != nil {
			p.lost(n)
			return err
		}
	}
	return nil
}

// redis is a connection in the Redis protocol.
type redis struct {
	net.Conn
	r *bufio.Reader
}

func dialRedis(admin string) (*redis, error) {
	conn, err := net.DialTimeout("tcp", admin, patience)
	if err != nil {
		return nil, err
	}
	return &redis{conn, bufio.NewReader(conn)}, nil
}

// ask sends a command and returns its reply.
func (c *redis) ask(command ...string) (any, error) {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(resp.AppendCommand(nil, command...)); err != nil {
		return nil, err
	}
	return resp.ReadReply(c.r)
}
