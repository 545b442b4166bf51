package abuse

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Ensure that a crowd takes no descriptor from the other ports, whatever the connection
// limit says: those that find no room are told to come back, and new publishers and
// new questions about health are answered meanwhile.
func TestCrowdLeavesRoom(t *testing.T) {
	for _, s := range []setup{
		{files: 256, flags: []string{"--max-connections", "5000", "--fd-tables", "shared"}},
		{files: 1024},
	} {
		t.Run(fmt.Sprint(s.files, s.flags), func(t *testing.T) {
			t.Parallel()
			v := start(t, s)
			var opened, told atomic.Int64
			const each = 4 << 10 // bytes of a client, in the process
			size := 2 * s.files
			v.bears(size*each+logRoom, func() {
				all(size, func(int) {
					switch v.ask("/crowd") {
					case ":\n":
						opened.Add(1)
					case "retry":
						told.Add(1)
					}
				})
				for range 20 {
					if answer, err := request(v.admin, "PUBLISH /crowd hello\r\nQUIT\r\n", patience); !strings.HasPrefix(answer, fmt.Sprintf(":%d\r\n", opened.Load())) {
						t.Errorf("a new publisher got %q, %v; want %d receivers", answer, err, opened.Load())
					}
				}
			})
			if opened.Load()+told.Load() != int64(size) || opened.Load() < int64(s.files)/3 {
				t.Errorf("of %d clients %d have a stream and %d were told to come back", size, opened.Load(), told.Load())
			}
		})
	}
}

// ask asks for a stream, which is held, and returns the first field of its body.
func (v *victim) ask(target string) string {
	conn, err := net.Dial("tcp", v.public)
	if err != nil {
		v.t.Error(err)
		return ""
	}
	v.hold(conn)
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
	lines := bufio.NewReader(conn)
	for body := false; ; {
		line, err := lines.ReadString('\n')
		switch {
		case err != nil:
			v.t.Errorf("a client that asks for a stream: %v", err)
			return ""
		case body:
			field, _, _ := strings.Cut(line, ": ")
			return field
		}
		body = line == "\r\n"
	}
}
