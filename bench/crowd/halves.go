package crowd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// half is a connection that has sent the first half of a request head.
type half struct {
	conn net.Conn
	rest string
}

func beginHalf(public string) (*half, error) {
	conn, err := net.DialTimeout("tcp", public, patience)
	if err != nil {
		return nil, err
	}
	head := "GET /crowd/new HTTP/1.1\r\nHost: " + public + "\r\nAccept: text/event-stream\r\n\r\n"
	middle := len(head) / 2
	if _, err := conn.Write([]byte(head[:middle])); err != nil {
		conn.Close()
		return nil, err
	}
	return &half{conn, head[middle:]}, nil
}

// finish sends the rest, which must be answered with a stream.
func (h *half) finish() error {
	defer h.conn.Close()
	h.conn.SetDeadline(time.Now().Add(patience))
	if _, err := h.conn.Write([]byte(h.rest)); err != nil {
		return err
	}
	return greeted(h.conn)
}

// greeted reads the beginning of a stream: the response head and the first line.
func greeted(conn net.Conn) error {
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err == nil && line[0] != ':' {
		err = fmt.Errorf("a stream begins with %q", line)
	}
	return err
}

// newcomers come so many a second, one after the other, and go.
func newcomers(ctx context.Context, public string, rate int, seen *seen) {
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		began := time.Now()
		err := come(public)
		seen.came(time.Since(began))
		if err != nil && ctx.Err() == nil {
			seen.fault(KindNewcomer, err)
		}
	}
}

func come(public string) error {
	h, err := beginHalf(public)
	if err != nil {
		return err
	}
	return h.finish()
}
