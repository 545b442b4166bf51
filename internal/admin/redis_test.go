package admin

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/resp"
	"millrace/internal/testenv"
)

// Ensure that subscribers are answered byte for byte as a real Redis answers them,
// whatever they and publishers do.
func TestSubscribersAgainstRedis(t *testing.T) {
	socket := startRedis(t)
	rapid.Check(t, func(t *rapid.T) {
		ln := newPipes()
		s, err := New(ln, Config{Broker: channels.NewBroker(channels.Options{}).Ports()})
		if err != nil {
			t.Fatal(err)
		}
		go s.Serve()
		defer s.Close()
		const clients = 3
		var ours, theirs [clients]*peer
		for i := range clients {
			nc, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			ours[i], theirs[i] = &peer{nc: ln.dial()}, &peer{nc: nc}
			defer ours[i].nc.Close()
			defer nc.Close()
		}
		name := rapid.SampledFrom([]string{"a", "b", "c", "abc"})
		pattern := rapid.SampledFrom([]string{"*", "a", "a*", "[ab]", "?"})
		var subscribed [clients]bool // perhaps still
		var queueing [clients]bool   // between MULTI and EXEC, where subscribing is refused here
		for step := range rapid.IntRange(1, 30).Draw(t, "steps") {
			i := rapid.IntRange(0, clients-1).Draw(t, "client")
			args := [][]string{
				{"HELLO", rapid.SampledFrom([]string{"2", "3", "4"}).Draw(t, "version")},
				append([]string{"SUBSCRIBE"}, rapid.SliceOfN(name, 0, 3).Draw(t, "names")...),
				append([]string{"PSUBSCRIBE"}, rapid.SliceOfN(pattern, 0, 3).Draw(t, "patterns")...),
				append([]string{"UNSUBSCRIBE"}, rapid.SliceOfN(name, 0, 3).Draw(t, "names")...),
				append([]string{"PUNSUBSCRIBE"}, rapid.SliceOfN(pattern, 0, 3).Draw(t, "patterns")...),
				{"PUBLISH", name.Draw(t, "channel"), rapid.String().Draw(t, "data")},
				{"PUBLISH", name.Draw(t, "channel"), fmt.Sprint(step)},
				{"PUBSUB", "NUMSUB", "a", name.Draw(t, "channel")},
				{"PUBSUB", "NUMPAT"},
				{"PUBSUB", "CHANNELS", pattern.Draw(t, "pattern")},
				append([]string{"SSUBSCRIBE"}, rapid.SliceOfN(name, 0, 3).Draw(t, "names")...),
				append([]string{"SUNSUBSCRIBE"}, rapid.SliceOfN(name, 0, 3).Draw(t, "names")...),
				{"SPUBLISH", name.Draw(t, "channel"), fmt.Sprint(step)},
				{"PUBSUB", "SHARDNUMSUB", "a", name.Draw(t, "channel")},
				{"PUBSUB", "SHARDCHANNELS", pattern.Draw(t, "pattern")},
				{"MULTI"}, {"EXEC"}, {"EXEC"}, {"DISCARD"}, {"WATCH", "x"}, {"UNWATCH"}, {"EXISTS", "a", "b"}, {"ROLE"}, {"DBSIZE"},
				{"PING"}, {"ECHO", "x"}, {"RESET"}, {"CLIENT", "GETNAME"}, {"GARBAGE", "x"},
			}[rapid.IntRange(0, 28).Draw(t, "command")]
			switch {
			case queueing[i] && (strings.HasSuffix(args[0], "SUBSCRIBE") || args[0] == "HELLO" || args[0] == "WATCH"):
				continue
			case strings.HasSuffix(args[0], "SUBSCRIBE"):
				subscribed[i] = true
			case args[0] == "MULTI" && subscribed[i]:
				continue // it may be refused or not
			case args[0] == "MULTI":
				queueing[i] = true
			case args[0] == "EXEC", args[0] == "DISCARD", args[0] == "RESET":
				queueing[i] = false
				subscribed[i] = subscribed[i] && args[0] != "RESET"
			}
			for j := range clients {
				j = (i + j) % clients // who acts comes first: then the others have what it caused
				var command []byte
				if j == i {
					command = resp.AppendCommand(nil, args...)
				} else if queueing[j] {
					continue // it would queue the PING
				}
				token := fmt.Sprintf("end of step %d", step)
				end := []string{"PING", token}
				if queueing[j] { // what is answered at once, and leaves the queue as it is
					end, token = []string{"WATCH", "x"}, "WATCH inside MULTI is not allowed"
				}
				got, want := ours[j].converse(t, command, end, token), theirs[j].converse(t, command, end, token)
				if agreed(args, got) != agreed(args, want) {
					t.Fatalf("step %d, client %d: after %q of client %d\n got %q\nwant %q", step, j, args, i, got, want)
				}
			}
		}
	})
}

// peer is one client of one server.
type peer struct {
	nc  net.Conn
	buf [64 << 10]byte
}

// converse sends a command and another one that ends it, and returns all that comes
// until the server has answered that with token.
func (p *peer) converse(t *rapid.T, command []byte, end []string, token string) string {
	p.nc.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := p.nc.Write(resp.AppendCommand(command, end...)); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; {
		m, err := p.nc.Read(p.buf[n:])
		if n += m; err != nil {
			t.Fatalf("%q before %q: %v", p.buf[:n], token, err)
		}
		if bytes.HasSuffix(p.buf[:n], []byte(token+"\r\n")) {
			return string(p.buf[:n])
		}
	}
}

// agreed is the part of what a command has caused in which two servers must
// agree.
func agreed(args []string, output string) string {
	if args[0] == "EXEC" { // Redis has words of its own when it cannot run now
		output = strings.Replace(output, "-EXECABORT Transaction discarded because of: Can't", "-ERR Can't", 1)
	}
	switch {
	case args[0] == "HELLO": // names releases
		output, _, _ = strings.Cut(output, "\r\n")
	case args[0] == "PUBLISH", args[0] == "EXEC", args[0] == "PUBSUB", strings.HasSuffix(args[0], "UNSUBSCRIBE"): // in Redis, in the order of a hash
		lines := strings.Split(output, "\r\n")
		slices.Sort(lines)
		output = strings.Join(lines, "\r\n")
	}
	return output
}

// startRedis starts a redis-server until the test ends, and returns its socket.
func startRedis(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "redis.sock")
	var output bytes.Buffer
	cmd := exec.Command(testenv.Need(t, "redis-server"), "--port", "0", "--unixsocket", socket, "--save", "")
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(socket), &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	testenv.Eventually(t, "redis-server answers", func() bool {
		nc, err := net.Dial("unix", socket)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return socket
}
