package abuse

import (
	"bufio"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Ensure that a crowd takes no descriptor from the other ports, whatever the connection
// limit says: those that find no room are told to come back, and new publishers and
// new questions about health are answered meanwhile.
func TestCrowdLeavesRoom(t *testing.T) { ssetest.Over(t, testCrowdLeavesRoom) }

func testCrowdLeavesRoom(t *testing.T, via ssetest.Transport) {
	each := 4 << 10 // bytes of a client, in the process
	if via != ssetest.Plain {
		each += 32 << 10 // of its handshake
	}
	for _, s := range []setup{
		{files: 256, flags: []string{"--max-connections", "5000", "--fd-tables", "shared"}},
		{files: 1024},
	} {
		if via != ssetest.Plain && s.files > 256 && !testenv.Full() {
			continue // thousands of handshakes
		}
		t.Run(fmt.Sprint(s.files, s.flags), func(t *testing.T) {
			t.Parallel()
			v := start(t, s)
			var opened, told atomic.Int64
			size := 2 * s.files
			v.bears(size*each+logRoom, func() {
				all(size, func(int) {
					switch v.ask(via, "/crowd") {
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

// ask asks for a stream, which is held, and returns the first field of its body. A client
// whose handshake and request take longer than a crowd has patience for is ended, and comes
// back, as an EventSource does.
func (v *victim) ask(via ssetest.Transport, target string) string {
	for deadline := time.Now().Add(patience); ; {
		field, err := v.askOnce(via, target, deadline)
		if err == nil {
			return field
		}
		if via == ssetest.Plain || time.Now().After(deadline) {
			v.t.Errorf("a client that asks for a stream: %v", err)
			return ""
		}
	}
}

func (v *victim) askOnce(via ssetest.Transport, target string, deadline time.Time) (field string, _ error) {
	conn, err := ssetest.Dialer{Via: via, Deadline: deadline}.Dial(v.t.Context(), via.Of(v.public, v.secure))
	if err != nil {
		return "", err
	}
	v.hold(conn)
	answer, err := conn.Get(target)
	if err != nil {
		return "", err
	}
	line, err := bufio.NewReader(answer.Body).ReadString('\n')
	field, _, _ = strings.Cut(line, ": ")
	return field, err
}
