package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// marionette drives Firefox by the protocol that is built into it, which is JSON behind its
// length (https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html).
type marionette struct {
	conn net.Conn
	in   *bufio.Reader
	id   int // of the last command
}

// dialMarionette connects to the Firefox that has a profile, once it listens.
func dialMarionette(profile string, deadline time.Time) (*marionette, error) {
	for ; ; time.Sleep(20 * time.Millisecond) {
		port, err := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		if err == nil && len(port) > 0 {
			conn, err := net.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(string(port)))
			if err != nil {
				return nil, err
			}
			conn.SetDeadline(deadline)
			m := &marionette{conn: conn, in: bufio.NewReader(conn)}
			_, err = m.read() // what it is
			return m, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("Firefox does not listen: %w", err)
		}
	}
}

// call has Firefox do a command, and puts its answer into result, unless that is nil.
func (m *marionette) call(command string, args map[string]any, result any) error {
	m.id++
	if args == nil {
		args = map[string]any{}
	}
	message, err := json.Marshal([]any{0, m.id, command, args})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(message), message); err != nil {
		return err
	}
	text, err := m.read()
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	var answer [4]json.RawMessage // 1, id, error, result
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s: %w in %.100q", command, err, text)
	}
	if failed := answer[2]; string(failed) != "null" {
		return fmt.Errorf("%s: %s", command, failed)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer[3], result)
}

// read reads a message.
func (m *marionette) read() ([]byte, error) {
	length, err := m.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil {
		return nil, err
	}
	text := make([]byte, n)
	_, err = io.ReadFull(m.in, text)
	return text, err
}
