package admin

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Ensure that clients without the password do not keep out one that has it, however
// many they are and however often they come back.
func TestStrangersMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}, Password: "secret", MaxClients: 8, Logger: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		member := ln.dial()
		defer member.Close()
		exchange(t, member, "AUTH secret\n", "+OK\r\n")
		var strangers []net.Conn
		for range 20 {
			nc := ln.dial()
			defer nc.Close()
			strangers = append(strangers, nc)
		}
		newcomer := ln.dial()
		defer newcomer.Close()
		exchange(t, newcomer, "AUTH secret\nPING\n", "+OK\r\n+PONG\r\n")
		synctest.Wait()
		if n := s.clients(); n != 3 || s.displaced.Load() != 19 {
			t.Errorf("%d clients, %d displaced, want the two members, one stranger, 19", n, s.displaced.Load())
		}
		exchange(t, strangers[19], "PING\n", noAuth)
		exchange(t, member, "PING\n", "+PONG\r\n")
		if n := strings.Count(log.String(), "too many clients without a password"); n != 1 {
			t.Errorf("logged %d times: %s", n, &log)
		}
		var pool []net.Conn
		for range 6 {
			nc := ln.dial()
			defer nc.Close()
			exchange(t, nc, "AUTH secret\n", "+OK\r\n")
			pool = append(pool, nc)
		}
		refused := ln.dial()
		defer refused.Close()
		if got, _ := io.ReadAll(refused); len(got) != 0 || s.rejected.Load() != 1 { // a pipe takes nothing at once
			t.Errorf("the port is full of members, and one more got %q, %d rejected", got, s.rejected.Load())
		}
		exchange(t, pool[0], "PING\n", "+PONG\r\n")
	})
}

// Ensure that without a password nobody is ended for being idle, and that the log says
// that the port is full, and of what.
func TestIdleClientsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}, MaxClients: 2, Logger: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		a, b := ln.dial(), ln.dial()
		defer a.Close()
		defer b.Close()
		time.Sleep(time.Hour)
		exchange(t, b, "PING\n", "+PONG\r\n")
		for range 3 {
			io.ReadAll(ln.dial())
		}
		exchange(t, a, "PING\n", "+PONG\r\n")
		want := "level=WARN msg=\"admin port is full: a connection is turned away\" connections=2 idle_for_a_minute=1 remedy=--max-admin-connections\n"
		if log.String() != want || s.rejected.Load() != 3 {
			t.Errorf("%d rejected, logged %q, want 3, %q", s.rejected.Load(), log.String(), want)
		}
	})
}

// Ensure that the answer to a wrong password waits, one after another, that a right one
// does not, and that there is a line in the log and a counter.
func TestWrongPasswordsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}, Password: "secret", MaxClients: 1000, Logger: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		began := time.Now()
		nc := ln.dial()
		defer nc.Close()
		exchange(t, nc, "AUTH wrong\nAUTH wrong\n", wrongPass+wrongPass)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("two wrong passwords were answered after %v, want 2 s", took)
		}
		var guessing sync.WaitGroup
		for range 100 {
			guessing.Go(func() {
				nc := ln.dial()
				defer nc.Close()
				io.WriteString(nc, "AUTH wrong\n")
				nc.Read(make([]byte, 100))
			})
		}
		synctest.Wait()
		exchange(t, nc, "AUTH secret\n", "+OK\r\n")
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the right password waited: %v", took)
		}
		if got := s.guesses.Count(); got != 102 {
			t.Errorf("%d wrong passwords counted, want 102", got)
		}
		guessing.Wait()
		if n := strings.Count(log.String(), "wrong password"); n < 2 || n > 4 {
			t.Errorf("logged %d times: %s", n, &log)
		}
	})
}

// Ensure that a connection that begins as another protocol runs no command, nor any after it.
func TestOpening(t *testing.T) {
	const publish = "PUBLISH /a b\r\n"
	for _, tt := range []struct{ name, input, want string }{
		{"a request line that is a command", "PUBLISH /rooms/42 HTTP/1.1\r\n" + publish, ""},
		{"behind empty lines", "\r\n\n  \r\nPUBLISH /rooms/42 http/1.0\n" + publish, ""},
		{"quoted", "PUBLISH /rooms/42 x HTTP/1.1 \r\n" + publish, ""},
		{"another request line", "GET / HTTP/1.1\r\n" + publish, ""},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + publish, "-ERR unknown command 'PRI', with args beginning with: '*' 'HTTP/2.0' \r\n"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\n" + publish, "-ERR Protocol error: the connection begins with '\\x16', want a letter or '*'\r\n"},
		{"STUN", "\x00\x01\x00\x0a!\x12\xa4B\n" + publish, "-ERR Protocol error: the connection begins with '\\x00', want a letter or '*'\r\n"},
		{"a blank", " " + publish + publish, "-ERR Protocol error: the connection begins with ' ', want a letter or '*'\r\n"},
		{"unknown", "EHLO localhost\r\n" + publish, "-ERR unknown command 'EHLO', with args beginning with: 'localhost' \r\n"},
		{"POST later", "PING\r\nPOST / HTTP/1.1\r\n" + publish, ""},
	} {
		for _, chunk := range []int{bufferSize, 1} {
			broker := &recorder{}
			got := converse(t, Config{Broker: broker}, tt.input, chunk)
			if strings.HasPrefix(tt.input, "PING") {
				got = "" // it may have been answered
			}
			if got != tt.want {
				t.Errorf("%s: %q was answered %q, want %q", tt.name, tt.input, got, tt.want)
			}
			if published := broker.take(); published != nil {
				t.Errorf("%s: %q published %q", tt.name, tt.input, published)
			}
		}
	}
	// Later lines are errors as ever, and so are unknown commands in the array form.
	got := converse(t, Config{Broker: &recorder{}}, "*1\r\n$3\r\nFOO\r\nBAR\r\nPING HTTP/1.1\r\n\x16\r\n", bufferSize)
	if want := "-ERR unknown command 'FOO', with args beginning with: \r\n-ERR unknown command 'BAR', with args beginning with: \r\n" +
		"$8\r\nHTTP/1.1\r\n-ERR unknown command '\x16'"; !strings.HasPrefix(got, strings.ReplaceAll(want, "\x16", " ")) {
		t.Errorf("later lines: got %q, want %q", got, want)
	}
}

// Ensure that a client may send all before it reads, over a real connection.
func TestSendsAllBeforeItReads(t *testing.T) {
	s := serve(t, Config{Broker: &recorder{}})
	nc := dial(t, s)
	const n = 2_000_000 // 14 MB of replies: more than sockets hold
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.WriteString(nc, strings.Repeat("PING\n", n)); err != nil {
		t.Fatal(err)
	}
	nc.CloseWrite()
	got, err := io.ReadAll(nc)
	if want := strings.Repeat("+PONG\r\n", n); string(got) != want || err != nil {
		t.Errorf("%d bytes of replies, %v, want %d", len(got), err, len(want))
	}
	if s.unsent.Load() != 0 {
		t.Errorf("%d bytes wait still", s.unsent.Load())
	}
}

// Ensure that a client that reads slowly is not ended, and that too much for all has each
// wait for its own.
func TestUnreadOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		s.unsent.Add(maxUnreadAll) // by others
		nc := ln.dial()
		defer nc.Close()
		sent := make(chan int, 1)
		echo := strings.Repeat("ECHO "+strings.Repeat("x", 1000)+"\n", 1000)
		go func() {
			n, _ := io.WriteString(nc, echo)
			sent <- n
		}()
		total, buf := 0, make([]byte, 1000)
		for total < 200_000 {
			time.Sleep(writeTimeout / 4)
			n, err := nc.Read(buf)
			if total += n; err != nil {
				t.Fatalf("after %d bytes and %v: %v", total, writeTimeout/4, err)
			}
			if mine := s.unsent.Load() - maxUnreadAll; mine > 2*bufferSize {
				t.Fatalf("%d bytes wait for one client while too much waits for all", mine)
			}
		}
		go io.Copy(io.Discard, nc)
		if n := <-sent; n != len(echo) {
			t.Errorf("took %d bytes, want %d", n, len(echo))
		}
		s.unsent.Add(-maxUnreadAll)
	})
}

// Ensure that clients can be listed and ended.
func TestClientListAndKill(t *testing.T) {
	s := serve(t, Config{Broker: testBroker()})
	a, b := newClient(t, dial(t, s)), newClient(t, dial(t, s))
	a.send("HELLO", "3", "SETNAME", "a")
	a.read()
	b.send("SUBSCRIBE", "/c")
	b.read()
	list := func(args ...string) string {
		a.send(append([]string{"CLIENT", "LIST"}, args...)...)
		return a.read()
	}
	if got := list(); strings.Count(got, "\n") != 2 || !strings.HasPrefix(got, "id=1 ") || !strings.Contains(got, " name=a ") || !strings.Contains(got, "flags=P db=0 sub=1 ") {
		t.Errorf("CLIENT LIST: %q", got)
	}
	if got := list("TYPE", "pubsub"); !strings.HasPrefix(got, "id=2 ") || strings.Count(got, "\n") != 1 {
		t.Errorf("CLIENT LIST TYPE pubsub: %q", got)
	}
	a.send("MULTI")
	a.want("OK")
	a.send("CLIENT", "LIST", "ID", "1")
	a.want("QUEUED")
	a.send("EXEC")
	if got := a.read(); !strings.Contains(got, "flags=N ") || !strings.Contains(got, "multi=-1 ") {
		t.Errorf("CLIENT LIST in EXEC: %q", got)
	}
	a.send("CLIENT", "KILL", "TYPE", "pubsub", "ID", "2")
	a.want("1")
	if _, err := b.r.ReadByte(); err == nil {
		t.Error("the subscriber lives")
	}
	a.send("CLIENT", "KILL", "TYPE", "normal")
	a.want("0")
	a.send("CLIENT", "KILL", a.nc.LocalAddr().String())
	a.want("OK")
	if _, err := a.r.ReadByte(); err == nil {
		t.Error("a client that has killed itself lives")
	}
}

// Ensure that a transaction with large replies holds no more of them than others do.
func TestExecWritesAsItGoes(t *testing.T) {
	s, err := New(newPipes(), Config{Broker: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	echo := "ECHO " + strings.Repeat("x", 60_000) + "\n"
	nc := &scripted{input: []byte("MULTI\n" + strings.Repeat(echo, 16) + "EXEC\n"), chunk: bufferSize}
	c := newConn(s, nc, 7)
	largest := 0
	nc.onWrite = func(p []byte) { largest = max(largest, len(p)) }
	c.serve()
	want := fmt.Sprintf("*16\r\n%s", strings.Repeat("$60000\r\n"+strings.Repeat("x", 60_000)+"\r\n", 16))
	if got := nc.output.String(); !strings.HasSuffix(got, want) {
		t.Errorf("got %d bytes, which do not end with the %d of EXEC", len(got), len(want))
	}
	if cap(c.out) > 4*bufferSize {
		t.Errorf("%d bytes of replies were held at once", cap(c.out))
	}
}
