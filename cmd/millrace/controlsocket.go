package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"millrace/internal/throttle"
)

const (
	// maxOrders bounds the connections of a control socket, maxOrder the bytes of a line.
	maxOrders, maxOrder = 8, 64 << 10
	// orderTime bounds the wait for an order, and for a client to take a line.
	orderTime = 5 * time.Second
)

// controlSocket is the Unix socket by which a running millrace is told to hand over to a
// new one. Root and the user of the process may; others are refused.
type controlSocket struct {
	path    string
	file    fs.FileInfo // of this socket, at path unless it has been replaced
	ln      *net.UnixListener
	log     *slog.Logger // of what outsiders can cause
	perform func(context.Context, order, *orderConn) outcome
	ctx     context.Context // of all orders
	life    context.Context // of all connections: it ends with close
	end     context.CancelFunc
	running sync.WaitGroup
	places  chan struct{}
}

// controlPath returns where the socket is to be: given, or in systemd's RuntimeDirectory.
// Empty: nowhere.
func controlPath(given string) string {
	if given != "" {
		return given
	}
	if first, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":"); first != "" {
		return filepath.Join(first, "control")
	}
	return ""
}

// maxControlPath bounds the path of a control socket, which Linux holds in 108 bytes with the
// number of a process after it.
const maxControlPath = 95

// checkControl returns why there can be no control socket at path. A process that takes over may
// replace that of its predecessor, whose number is given; other ones have 0.
func checkControl(path string, predecessor int) error {
	switch {
	case path == "":
		return nil
	case !controlSupported:
		return fmt.Errorf("%w: --control: a server can be upgraded on Linux only", errUsage)
	case len(path) > maxControlPath:
		return fmt.Errorf("%w: --control: %s has %d bytes, want at most %d", errUsage, path, len(path), maxControlPath)
	}
	if err := checkReplaceable(path); err != nil {
		return fmt.Errorf("%w: --control: %w", errUsage, err)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED): // that of a process which has ended
		return nil
	case err != nil:
		return fmt.Errorf("--control: whether another process answers at %s cannot be told: %w; end it, or choose another path", path, err)
	}
	defer conn.Close()
	if _, pid, err := peerOf(conn); err == nil && pid != 0 && pid == predecessor {
		return nil
	}
	return fmt.Errorf("--control: another process answers at %s: end it, or choose another path", path)
}

// checkReplaceable returns why what is at path may not give way to a socket.
func checkReplaceable(path string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is no socket, want a path that is free", path)
	}
	return nil // also if the directory is not there, which shows when it is opened
}

// openControl opens the socket at path, in place of one that is there. Orders are performed by
// perform, which may get several at once. ctx ends them.
func openControl(ctx context.Context, path string, log *slog.Logger, perform func(context.Context, order, *orderConn) outcome) (*controlSocket, error) {
	// It takes the place of the other in one step, so that an order always finds one.
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	os.Remove(fresh) // of a process that had the number
	ln, file, err := listenPrivate(fresh)
	if err != nil {
		return nil, err
	}
	if err = checkReplaceable(path); err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		ln.Close()
		os.Remove(fresh)
		return nil, err
	}
	s := &controlSocket{path: path, file: file, ln: ln, log: throttle.Logger(log), perform: perform, places: make(chan struct{}, maxOrders)}
	s.ctx = ctx
	s.life, s.end = context.WithCancel(context.Background())
	s.running.Go(s.accept)
	return s, nil
}

// listenPrivate opens a socket at path that only its owner may use from its first moment on, and
// returns it with its file.
func listenPrivate(path string) (*net.UnixListener, fs.FileInfo, error) {
	private := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); e != nil { // bind gives it to the file
			err = e
		}
		return err
	}}
	ln, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, nil, err
	}
	unix := ln.(*net.UnixListener)
	unix.SetUnlinkOnClose(false)
	file, err := os.Lstat(path)
	if err == nil && file.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s has the mode %v, want no more than -rw-------", path, file.Mode())
	}
	if err != nil {
		unix.Close()
		os.Remove(path)
	}
	return unix, file, err
}

// close returns when all orders have ended, as their context has. The file stays if it is another
// process's by then.
func (s *controlSocket) close() {
	s.end()
	if file, err := os.Lstat(s.path); err == nil && os.SameFile(file, s.file) { // while it is open, no other has its number
		os.Remove(s.path)
	}
	s.ln.Close()
	s.running.Wait()
}

// accept serves connections until the socket is closed.
func (s *controlSocket) accept() {
	for {
		conn, err := s.ln.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.log.Warn("the control socket cannot accept", "error", err)
			select {
			case <-s.life.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		select {
		case s.places <- struct{}{}:
			s.running.Go(func() {
				defer func() { <-s.places }()
				s.serve(conn)
			})
		default:
			conn.Close()
		}
	}
}

// serve performs the order of a connection.
func (s *controlSocket) serve(conn *net.UnixConn) {
	defer conn.Close()
	c := &orderConn{conn: conn, lines: bufio.NewScanner(conn), ctx: s.life}
	defer context.AfterFunc(s.life, func() { conn.SetReadDeadline(time.Now()) })()
	c.lines.Buffer(nil, maxOrder)
	var o order
	err := c.order(&o) // first: a client that has not said all does not hear the answer
	if err == nil {
		err = allow(conn)
	}
	if errors.Is(err, errLeft) { // as a successor does, which looks whether anybody serves there
		return
	}
	if err != nil {
		s.log.Warn("an order at the control socket is refused", "error", err)
		c.write(outcome{Result: resultRefused, Why: err.Error()})
		return
	}
	c.ctx = s.ctx
	defer context.AfterFunc(s.ctx, func() { conn.SetReadDeadline(time.Now()) })()
	c.write(s.perform(s.ctx, o, c)) // in any case: a busy host may have taken the client for deaf
}

// allow returns why the user at the other end of conn may give no orders.
func allow(conn *net.UnixConn) error {
	uid, _, err := peerOf(conn)
	if own := os.Geteuid(); err == nil && uid != 0 && uid != own {
		err = fmt.Errorf("user %d may not, want root or user %d, as whom millrace runs", uid, own)
	}
	return err
}

// orderConn is a connection of the control socket, with lines of JSON in both directions.
type orderConn struct {
	conn  *net.UnixConn
	lines *bufio.Scanner
	ctx   context.Context // done: no line is waited for
	mu    sync.Mutex      // several loops move at a time
	deaf  bool            // it takes nothing: no step waits for that again
}

// order reads the order.
func (c *orderConn) order(o *order) error {
	line, err := c.line(orderTime)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, o); err != nil || o.Command != orderUpgrade {
		return fmt.Errorf("an order of %.64q, want a JSON object whose command is %q", line, orderUpgrade)
	}
	return nil
}

// errLeft says that a client has closed its connection.
var errLeft = errors.New("the client of the control socket has gone")

// line reads a line, for which there is so much time.
func (c *orderConn) line(patience time.Duration) ([]byte, error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	if err := context.Cause(c.ctx); err != nil {
		return nil, err
	}
	if !c.lines.Scan() {
		if err := context.Cause(c.ctx); err != nil {
			return nil, err
		}
		if err := c.lines.Err(); err != nil {
			return nil, fmt.Errorf("no line within %v: %w", patience, err)
		}
		return nil, errLeft
	}
	return c.lines.Bytes(), nil
}

// tell sends v, unless the client takes nothing. What comes of an order does not depend on that.
func (c *orderConn) tell(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.deaf {
		c.deaf = c.write(v) != nil
	}
}

// write sends v.
func (c *orderConn) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.conn.SetWriteDeadline(time.Now().Add(orderTime))
	_, err = c.conn.Write(append(line, '\n'))
	return err
}

// confirmed tells v, and waits until the client has said that it has seen it.
func (c *orderConn) confirmed(v any, patience time.Duration) error {
	c.tell(v)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.line(patience); err != nil {
		return fmt.Errorf("the client does not confirm: %w", err)
	}
	return nil
}
