package abuse

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

const (
	// healthWithin is how long an answer to a question about health may take.
	healthWithin = time.Second * testenv.Slowness
	// pulse is the time between two looks, and two events, during an attack.
	pulse = 50 * time.Millisecond
	// watching is how many streams want every event meanwhile, over one transport after the
	// other.
	watching = 6
)

// bears runs attack, and wants of the victim what the package comment says: it may
// have taken up to grows bytes more by the end than before. Then it lets go of what
// attackers hold.
func (v *victim) bears(grows int, attack func()) {
	v.t.Helper()
	const target = "/watched"
	var streams [watching]*ssetest.Client
	for i := range streams {
		streams[i] = v.openOver(ssetest.Transports[i%len(ssetest.Transports)], target)
	}
	publisher := v.publisher()
	defer publisher.Close()
	before, descriptors, goroutines := v.memory("VmRSS"), v.descriptors(), v.metric("go_goroutines")

	want := v.watchDuring(publisher, target, attack)
	for _, s := range streams {
		wantNumbers(v, s, want)
	}
	grows *= testenv.Slowness
	if after := v.memory("VmHWM"); after > before+grows {
		v.t.Errorf("memory has grown from %d to %d bytes, want %d more at most", before, after, grows)
	}
	v.letGo()
	v.wantBack(descriptors, goroutines)
}

// wantBack wants that the victim comes to have no more descriptors and goroutines than
// these. It looks once a second: net/http keeps each connection that asks half a second
// longer.
func (v *victim) wantBack(descriptors int, goroutines float64) {
	v.t.Helper()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); ; {
		<-ticker.C
		d, g := v.descriptors(), v.metric("go_goroutines")
		if d <= descriptors && g <= goroutines {
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("%v after the attack there are %d descriptors and %v goroutines, before it %d and %v", patience, d, g, descriptors, goroutines)
		}
	}
}

// publisher returns a connection of the admin port that may publish.
func (v *victim) publisher() net.Conn {
	v.t.Helper()
	conn, err := net.Dial("tcp", v.admin)
	if err != nil {
		v.t.Fatal(err)
	}
	command, want := "PING\r\n", "+PONG\r\n" // so that it has been accepted
	if v.secret != "" {
		command, want = "AUTH "+v.secret+"\r\n", "+OK\r\n"
	}
	conn.SetDeadline(time.Now().Add(patience))
	answer := make([]byte, len(want))
	io.WriteString(conn, command)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != want {
		v.t.Fatalf("a publisher's %q: %q, %v", command, answer, err)
	}
	return conn
}

// crowd opens n connections to a port, each of which sends text and reads nothing, and
// holds them.
func (v *victim) crowd(address string, n int, text string) {
	v.t.Helper()
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			v.t.Fatal(err)
		}
		v.hold(conn)
		io.WriteString(conn, text) // it may have been turned away
	}
}

// watchDuring watches while attack runs, and returns what watch does.
func (v *victim) watchDuring(publisher net.Conn, target string, attack func()) (published int) {
	over := make(chan struct{})
	last := make(chan int)
	go func() { last <- v.watch(publisher, target, over) }()
	defer func() { // also if the attack ends the test
		close(over)
		published = <-last
	}()
	attack()
	return 0
}

// watch asks for health, and publishes numbers from 1 on, until over is closed. It
// returns the last number.
func (v *victim) watch(publisher net.Conn, target string, over <-chan struct{}) (published int) {
	ticker := time.NewTicker(pulse)
	defer ticker.Stop()
	yardstick := newYardstick(v)
	defer yardstick.Close()
	for {
		v.wantHealth(yardstick.Addr().String())
		publisher.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(publisher, "PUBLISH %s %d\r\n", target, published+1)
		var receivers int
		if _, err := fmt.Fscanf(publisher, ":%d\r\n", &receivers); err != nil {
			v.t.Errorf("publishing during the attack, as a connection from before it: %v", err)
			return published
		}
		published++
		select {
		case <-over:
			return published
		case <-ticker.C:
		}
	}
}

// wantHealth wants the public port and the ops port to say that they are well, and
// soon. On a machine where a server of the test's own takes long too, or the second
// answer comes soon, the first one proves nothing.
func (v *victim) wantHealth(yardstick string) {
	for _, port := range []struct{ name, address string }{{"public", v.public}, {"ops", v.ops}} {
		var took, other time.Duration
		for range 2 {
			var ours sync.WaitGroup
			ours.Go(func() { other = v.timeAnswer(yardstick, "") })
			took = v.timeAnswer(port.address, "HTTP/1.1 200 ")
			ours.Wait()
			if took < healthWithin || other > healthWithin/2 {
				break
			}
		}
		if took >= healthWithin && other <= healthWithin/2 {
			v.t.Errorf("health at the %s port took %v twice during the attack, want %v (a server of the test: %v)", port.name, took, healthWithin, other)
		}
	}
}

// timeAnswer returns how long the answer about health of an address takes. It has to
// begin with prefix.
func (v *victim) timeAnswer(address, prefix string) time.Duration {
	began := time.Now()
	answer, err := request(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", patience)
	if prefix != "" && (err != nil || !strings.HasPrefix(answer, prefix)) {
		v.t.Errorf("health of %s during the attack: %q, %v", address, answer, err)
	}
	return time.Since(began)
}

// newYardstick returns a server that says hello to every client.
func newYardstick(v *victim) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		v.t.Error(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
	return ln
}

// wantNumbers wants a stream to have had every number up to last.
func wantNumbers(v *victim, s *ssetest.Client, last int) {
	v.t.Helper()
	for n := 1; n <= last; {
		ev, err := s.Next()
		if err != nil {
			v.t.Errorf("a stream from before the attack, where event %d was to come: %v", n, err)
			return
		}
		if ev.Data == "" || ev.Type == "millrace.start" { // a ping, or the greeting
			continue
		}
		if ev.Data != fmt.Sprint(n) {
			v.t.Errorf("a stream from before the attack got %+v, want event %d", ev, n)
			return
		}
		n++
	}
}

// all runs n of attack at a time, each with its number, and waits for them.
func all(n int, attack func(i int)) {
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { attack(i) })
	}
	running.Wait()
}
