package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/handover"
	"millrace/internal/testenv"
)

// succession is a server and its broker on their way to a successor's.
type succession struct {
	t            testing.TB
	server, next *Server
	broker, to   *channels.Broker
	tap          *channels.Tap
	relaying     chan error
	ends         []int
}

// succeed begins an upgrade of a server: its successor has the history, and gets what comes.
func succeed(t testing.TB, s *Server, opts channels.Options) *succession {
	t.Helper()
	if err := s.BeginHandOver(handover.Version); err != nil {
		t.Fatal(err)
	}
	opts.Successor = true
	u := &succession{t: t, server: s, broker: s.broker, to: channels.NewBroker(opts), relaying: make(chan error, 1)}
	var err error
	if u.tap, err = u.broker.Tap(handover.Version); err != nil {
		t.Fatal(err)
	}
	go func() { u.relaying <- u.tap.Run(u.to.Relay) }()
	select {
	case <-u.to.Restored():
	case <-time.After(patience):
		t.Fatal("the history never came")
	}
	cfg := s.cfg
	cfg.Loops = s.Loops()
	monotonic, loop := s.LoopTime()
	cfg.Successor = &Takeover{Version: handover.Version, Monotonic: monotonic, Loop: loop}
	if u.next, err = New(cfg, u.to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.next.Close)
	if u.ends, err = u.next.LoopEnds(); err != nil {
		t.Fatal(err)
	}
	u.next.Start()
	return u
}

// hand hands a loop over, until the successor is prepared.
func (u *succession) hand(i int) Moved {
	u.t.Helper()
	m, err := u.server.SendLoop(i, u.ends[i])
	if err == nil {
		err = u.server.AwaitPrepared(i)
	}
	if err != nil {
		u.t.Fatal(err)
	}
	u.await(i, Prepared)
	return m
}

// commit makes a loop the successor's, and returns for how long nobody has served it.
func (u *succession) commit(i int) (pause time.Duration) {
	u.t.Helper()
	err := u.server.SendCommit(i)
	if err == nil {
		pause, err = u.server.AwaitServing(i)
	}
	if err != nil {
		u.t.Fatal(err)
	}
	u.await(i, Serving)
	return pause
}

// await waits until a loop of the successor has come so far.
func (u *succession) await(i int, want Stage) {
	u.t.Helper()
	select {
	case a := <-u.next.Adopted():
		if a.Loop != i || a.Stage != want {
			u.t.Fatalf("loop %d is at %v (%v), want loop %d at %v", a.Loop, a.Stage, a.Err, i, want)
		}
	case <-time.After(patience):
		u.t.Fatalf("loop %d is never at %v", i, want)
	}
}

// over makes all the successor's.
func (u *succession) over() {
	u.t.Helper()
	at, err := u.broker.Freeze()
	if err == nil {
		err = u.tap.Flush(u.t.Context())
	}
	if err == nil {
		err = u.to.TakeOver(at)
	}
	if err != nil {
		u.t.Fatal(err)
	}
	u.next.Switched()
	u.server.LetGo()
	u.server.Close()
	u.tap.Close()
	if err := <-u.relaying; err != nil {
		u.t.Fatal(err)
	}
}

// die ends the successor as if its process had been killed, and has the server take back.
func (u *succession) die() {
	u.t.Helper()
	u.next.LetGo()
	u.next.Close()
	if _, err := u.server.TakeBack(); err != nil {
		u.t.Fatal(err)
	}
	u.tap.Close()
	<-u.relaying
}

// upgrade hands s over to a successor, which it returns with its broker.
func upgrade(t testing.TB, s *Server, opts channels.Options) (next *Server, broker *channels.Broker, moved Moved) {
	t.Helper()
	u := succeed(t, s, opts)
	for _, i := range s.LoopOrder() {
		m := u.hand(i)
		moved.Connections += m.Connections
		moved.Streams += m.Streams
		moved.Closed += m.Closed
		u.commit(i)
	}
	u.over()
	return u.next, u.to, moved
}

// Ensure that streams get every message once, whichever of two processes serves them.
func TestHandOverStreams(t *testing.T) {
	for _, tables := range []FDTables{FDTablesShared, FDTablesPerLoop} {
		t.Run(string(tables), func(t *testing.T) {
			opts := channels.Options{}
			s, broker := start(t, Config{Loops: 3, FDTables: tables}, opts)
			var clients []*client
			for i := range 20 {
				clients = append(clients, subscribe(t, s, fmt.Sprintf("/news-%d", i%4)))
			}
			several := subscribe(t, s, "/news-0?channel=/news-1")
			round := func(text string) {
				for i := range 4 {
					if _, err := broker.Publish(fmt.Sprint("/news-", i), channels.Event{Data: []byte(text)}); err != nil {
						t.Fatal(err)
					}
				}
				for _, c := range clients {
					c.want("data: " + text + "\n\n")
				}
				several.want(strings.Repeat("data: "+text+"\n\n", 2))
			}
			round("before")
			for n := range 3 {
				next, to, moved := upgrade(t, s, opts)
				broker = to
				if moved.Streams != 21 || moved.Connections != 21 || moved.Closed != 0 {
					t.Errorf("%+v, want 21 streams", moved)
				}
				round(fmt.Sprint("after ", n))
				if got := next.Stats(); got.Streams != 21 || got.Connections != 21 {
					t.Errorf("the successor has %d streams of %d connections, want 21", got.Streams, got.Connections)
				}
				s = next
			}
		})
	}
}

// Ensure that a stream which is behind gets the rest of its message, and then all others, from
// the successor.
func TestHandOverSlowReaders(t *testing.T) {
	opts := channels.Options{MaxEventBytes: 2 << 20}
	s, broker := start(t, Config{Loops: 2}, opts)
	long := strings.Repeat("0123456789abcdef", 100_000) // in more than one part
	var slow []*client
	for _, target := range []string{"/a", "/a?channel=/b", "/b"} {
		slow = append(slow, subscribe(t, s, target))
	}
	var want [3]strings.Builder
	event := func(channel, data string, receivers ...int) {
		publish(t, broker, channel, data, len(receivers))
		for _, i := range receivers {
			want[i].WriteString("data: " + data + "\n\n")
		}
	}
	event("/a", "first", 0, 1)
	for i := range 4 {
		event("/a", fmt.Sprint(i, long), 0, 1)
		event("/b", fmt.Sprint(i, long[:1000]), 1, 2)
	}
	testenv.Eventually(t, "two streams behind", func() bool { return s.Stats().Behind == 2 })
	for range 2 {
		next, to, moved := upgrade(t, s, opts)
		broker = to
		if s = next; moved.Streams != 3 || s.Stats().Behind != 2 {
			t.Errorf("%+v, %d of them behind, want 3 and 2", moved, s.Stats().Behind)
		}
		if _, err := broker.Publish("/a", channels.Event{Data: []byte("last")}); err != nil {
			t.Fatal(err)
		}
		want[0].WriteString("data: last\n\n")
		want[1].WriteString("data: last\n\n")
	}
	for i, c := range slow {
		c.want(want[i].String())
	}
	testenv.Eventually(t, "nobody behind", func() bool { return s.Stats().Behind == 0 })
}

// Ensure that clients who are about to become streams, and those who are answered, are served
// by the successor as if nothing had happened.
func TestHandOverOddClients(t *testing.T) {
	opts := channels.Options{History: 10, Epoch: "E"}
	asked := &late{Authorizer: authorizer(func(r *auth.Request, _ time.Time) auth.Verdict {
		return auth.Verdict{Means: "ticket", Channels: r.Channels, User: r.Cookie, Expires: time.Now().Add(time.Hour)}
	})}
	s, broker := start(t, proxied(Config{
		Loops: 2, HeaderTimeout: patience, MaxConnectionsPerIP: 3, Authorizer: asked,
	}), opts)
	for _, i := range []int{1, 2} {
		publish(t, broker, "/a", fmt.Sprint("event ", i), 0)
	}
	const start = "event: millrace.start\ndata: {\"resumed\":true,\"after\":\"E-1\"}\nid: E-1\n\ndata: event 2\nid: E-2\n\n"
	head := proxyLine("203.0.113.7") + "GET /a HTTP/1.1\r\nHost: test\r\nCookie: ann\r\nLast-Event-ID: E-1\r\n\r\n"
	var odd []*client
	var cuts []int
	for cut := 0; cut <= len(head); cut += 11 {
		c := dial(t, s)
		if _, err := io.WriteString(c, strings.Replace(head, "203.0.113.7", fmt.Sprintf("203.0.113.%d", 10+cut%80), 1)[:cut]); err != nil {
			t.Fatal(err)
		}
		odd, cuts = append(odd, c), append(cuts, cut)
	}
	whole := dial(t, s)
	io.WriteString(whole, head)
	answered := dial(t, s)
	io.WriteString(answered, proxyLine("203.0.113.8")+"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
	answered.skipTo("ok\n")
	testenv.Eventually(t, "one question and one answer", func() bool { return asked.questions() == 1 && s.Stats().Lingering == 1 })
	s, _, moved := upgrade(t, s, opts)
	if want := len(odd) + 2; moved.Connections != want || moved.Closed != 0 {
		t.Errorf("%+v, want %d connections", moved, want)
	}
	if got := s.Stats(); got.Lingering != 1 || got.Undecided != 1 {
		t.Errorf("%d lingering, %d undecided, want one each", got.Lingering, got.Undecided)
	}
	for i, c := range odd {
		io.WriteString(c, strings.Replace(head, "203.0.113.7", fmt.Sprintf("203.0.113.%d", 10+cuts[i]%80), 1)[cuts[i]:])
	}
	testenv.Eventually(t, "all have asked", func() bool { return asked.questions() == len(odd)+2 })
	asked.answer()
	for _, c := range append(odd, whole) {
		c.skipTo(":\n")
		c.want(start)
	}
	if ref, n := s.users.Find("ann"); ref == 0 || n != len(odd)+1 {
		t.Errorf("%d streams of the user, want %d", n, len(odd)+1)
	}
	s, broker, _ = upgrade(t, s, opts)
	if ref, n := s.users.Find("ann"); ref == 0 || n != len(odd)+1 {
		t.Errorf("after another time, %d streams of the user, want %d", n, len(odd)+1)
	}
	if _, err := broker.Publish("/a", channels.Event{Data: []byte("event 3")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(odd, whole) {
		c.want("data: event 3\nid: E-3\n\n")
	}
	for i := range 3 { // the address has one connection, and may have three
		c := dial(t, s)
		io.WriteString(c, strings.Replace(head, "Cookie: ann", "Cookie: bob", 1))
		if i == 2 {
			c.skipTo("\r\n")
			if line := c.line(); !strings.HasPrefix(line, "retry: ") {
				t.Errorf("connection %d of the address begins with %q, want to be told to come back", i+2, line)
			}
			continue
		}
		testenv.Eventually(t, "asked", func() bool { return asked.questions() == i+1 })
	}
	_ = time.Now
}

// Ensure that clients who connect while a server is handed over are served, by one process or
// the other.
func TestHandOverNewcomers(t *testing.T) {
	opts := channels.Options{}
	s, _ := start(t, Config{Loops: 2}, opts)
	stop := make(chan struct{})
	came := make(chan int, 1)
	addr := s.Addr().String()
	go func() {
		n := 0
		defer func() { came <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Errorf("newcomer %d: %v", n, err)
				return
			}
			conn.SetDeadline(time.Now().Add(patience))
			fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost: test\r\n\r\n")
			if got, err := bufio.NewReader(conn).ReadString(':'); err != nil || !strings.HasPrefix(got, "HTTP/1.1 200 OK") {
				t.Errorf("newcomer %d: %q, %v", n, got, err)
				return
			}
			conn.Close()
			n++
		}
	}()
	for range 3 {
		s, _, _ = upgrade(t, s, opts)
	}
	close(stop)
	if n := <-came; n < 10 {
		t.Errorf("%d newcomers, want more", n)
	}
}
