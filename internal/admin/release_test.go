package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
	"millrace/internal/testenv"
)

// Ensure that a client which does not read holds nothing up, whatever waits for it, and gets all
// of it in order.
func TestHandOverOfUnreadReplies(t *testing.T) {
	u := upgradable(t, Config{MaxEventBytes: 1 << 20})
	nc := u.dial()
	nc.SetReadBuffer(64 << 10)
	const size, n = 500_000, 100 // more than maxUnread
	go func() {
		for i := range n {
			fmt.Fprintf(nc, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", size, strings.Repeat(string(rune('a'+i%26)), size))
		}
		fmt.Fprint(nc, "SUBSCRIBE /a\r\n") // which waits for room, too
	}()
	testenv.Eventually(t, "nothing more is read from the client", func() bool { return u.now.unsent.Load() >= maxUnread })
	u.move()
	exchange(t, u.dial(), "PUBLISH /a lost\r\n", ":0\r\n")
	if got := u.now.unsent.Load(); got < maxUnread {
		t.Errorf("%d bytes wait, want %d or more", got, maxUnread)
	}
	u.takeBack()
	u.move()
	for i := range n {
		want := fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat(string(rune('a'+i%26)), size))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(nc, got); err != nil || string(got) != want {
			t.Fatalf("reply %d: %.20q..., %v", i, got, err)
		}
	}
	exchange(t, nc, "", "*3\r\n$9\r\nsubscribe\r\n$2\r\n/a\r\n:1\r\n")
	exchange(t, u.dial(), "PUBLISH /a x\r\n", ":1\r\n")
	exchange(t, nc, "", "*3\r\n$7\r\nmessage\r\n$2\r\n/a\r\n$1\r\nx\r\n")
}

// Ensure that no wait within a request holds a handover up.
func TestReleaseOfWaitingClients(t *testing.T) {
	u := upgradable(t, Config{Password: "secret"})
	u.now.guesses.Delay = time.Hour
	guesser, leaving := u.dial(), u.dial()
	if _, err := io.WriteString(guesser, "AUTH wrong\r\n"); err != nil {
		t.Fatal(err)
	}
	exchange(t, leaving, "QUIT\r\n", "+OK\r\n")
	testenv.Eventually(t, "the answer waits", func() bool { return u.now.guesses.Count() == 1 })
	u.move()
	exchange(t, guesser, "AUTH secret\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n")
	if got := u.now.guesses.Count(); got != 1 {
		t.Errorf("%d wrong passwords, want 1", got)
	}
	if got, err := io.ReadAll(leaving); err != nil || len(got) != 0 {
		t.Errorf("the client that leaves got %q, %v", got, err)
	}
	leaving.Close()
	testenv.Eventually(t, "it has left", func() bool { return u.now.clients() == 1 })
}

// stuck is a broker whose Publish waits.
type stuck struct {
	channels.Ports
	began, goOn chan struct{}
}

func (s *stuck) Publish(channel string, ev channels.Event) (channels.Receipt, error) {
	s.began <- struct{}{}
	<-s.goOn
	return s.Ports.Publish(channel, ev)
}

// Ensure that all go on as before when one request cannot be stopped in time.
func TestReleaseInVain(t *testing.T) {
	broker := &stuck{began: make(chan struct{}), goOn: make(chan struct{})}
	u := upgradable(t, Config{}, func(p channels.Ports) Broker {
		broker.Ports = p
		return broker
	})
	nc, other, listener := u.dial(), u.dial(), u.dial()
	exchange(t, listener, "SUBSCRIBE /a\r\n", "*3\r\n$9\r\nsubscribe\r\n$2\r\n/a\r\n:1\r\n")
	io.WriteString(nc, "PUBLISH /a x\r\nPING\r\n")
	<-broker.began
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := u.now.Release(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 client") {
		t.Errorf("Release: %v, want that one client is in the middle of a request", err)
	}
	exchange(t, other, "PING\r\n", "+PONG\r\n")
	exchange(t, u.dial(), "PING\r\n", "+PONG\r\n")
	close(broker.goOn)
	exchange(t, nc, "", ":1\r\n+PONG\r\n")
	exchange(t, listener, "", "*3\r\n$7\r\nmessage\r\n$2\r\n/a\r\n$1\r\nx\r\n")
	go func() { <-broker.began }()
	u.move()
	exchange(t, nc, "PUBLISH /a y\r\n", ":1\r\n")
}

// Ensure that a connection with TLS goes on when the server does, and otherwise ends in order
// after it has had everything, and is counted.
func TestHandOverWithTLS(t *testing.T) {
	secure, _ := withTLS(t)
	u := upgradable(t, Config{TLS: secure, MaxEventBytes: 1 << 20})
	dial := func() *tls.Conn { return tls.Client(u.dial(), trusting) }
	publisher, listener := dial(), dial()
	exchange(t, listener, "SUBSCRIBE /a\r\n", "*3\r\n$9\r\nsubscribe\r\n$2\r\n/a\r\n:1\r\n")
	large := strings.Repeat("x", 1_000_000)
	exchange(t, publisher, fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$2\r\n/a\r\n$%d\r\n%s\r\n", len(large), large), ":1\r\n")
	u.takeBack()
	exchange(t, publisher, "PUBLISH /a y\r\n", ":1\r\n")
	u.move()
	if got, err := io.ReadAll(publisher); err != nil || len(got) != 0 {
		t.Errorf("the publisher got %q, %v, want the end", got, err)
	}
	want := fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$2\r\n/a\r\n$%d\r\n%s\r\n*3\r\n$7\r\nmessage\r\n$2\r\n/a\r\n$1\r\ny\r\n", len(large), large)
	if got, err := io.ReadAll(listener); err != nil || string(got) != want {
		t.Errorf("the subscriber got %d bytes, %v, want %d and the end", len(got), err, len(want))
	}
	exchange(t, dial(), "PUBLISH /a z\r\n", ":0\r\n")
	if got := u.now.Stats().Ended; got != 2 {
		t.Errorf("%d connections have ended by the upgrade, want 2", got)
	}
}

// Ensure that a record which does not fit its descriptors is refused, and leaves none.
func TestRefusedRecords(t *testing.T) {
	u := upgradable(t, Config{})
	exchange(t, u.dial(), "PING\r\n", "+PONG\r\n")
	u.freeze()
	if err := u.now.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(a *handover.Admin)
	}{
		{"another cookie", func(a *handover.Admin) { a.Connections[0].Cookie++ }},
		{"one too many", func(a *handover.Admin) { a.Connections = append(a.Connections, a.Connections[0]) }},
		{"with TLS", func(a *handover.Admin) { a.Connections[0].Flags &^= handover.AdminSecured }},
		{"a queue that is none", func(a *handover.Admin) { a.Connections[0].Waiting.Queued = []byte("*1\r\n$4\r\nPI") }},
	} {
		before := testenv.Descriptors(t)
		a, b, err := handover.Pair()
		if err != nil {
			t.Fatal(err)
		}
		from, to := handover.NewConn(a), handover.NewConn(b)
		u.now.mu.Lock()
		record, fds := u.now.recordLocked()
		u.now.mu.Unlock()
		tt.change(&record)
		if err := handover.SendLong(handover.Version, &record, handover.KindAdmin, fds, from.Send); err != nil {
			t.Fatal(err)
		}
		s, err := New(newPipes(), u.cfg)
		if err != nil {
			t.Fatal(err)
		}
		f, err := to.Receive()
		if err == nil {
			_, err = s.Adopt(handover.Version, f)
		}
		if err == nil {
			t.Errorf("%s: no error", tt.name)
		}
		s.Close()
		from.Close()
		to.Close()
		if n := testenv.Descriptors(t); n != before {
			t.Errorf("%s: %d descriptors, %d before", tt.name, n, before)
		}
	}
	u.broker.Thaw()
	u.now.Resume()
	exchange(t, u.dial(), "CLIENT ID\r\n", ":2\r\n")
}
