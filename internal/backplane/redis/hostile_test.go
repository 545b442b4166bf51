package redis

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
)

// hostile is a Redis server that says what a test wants: to HELLO and CLIENT what is
// right, and to every other command the next line of its script, with "|" for the ends
// of lines; one that ends with "..." is said for ever. When there
// is nothing left, or nothing is asked for a moment, it ends the connection.
type hostile struct {
	ln      net.Listener
	mu      sync.Mutex
	script  []string
	running sync.WaitGroup
}

func startHostile(t testing.TB, script string) *hostile {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{ln: ln, script: strings.Split(script, "\n")}
	h.running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.(*net.TCPConn).SetLinger(0)
			h.running.Go(func() { h.serve(conn) })
		}
	})
	return h
}

func (h *hostile) close() {
	h.ln.Close()
	h.running.Wait()
}

// next returns the next reply.
func (h *hostile) next() (reply string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.script) == 0 {
		return "", false
	}
	if reply = h.script[0]; !strings.HasSuffix(reply, "...") {
		h.script = h.script[1:]
	}
	reply = strings.ReplaceAll(reply, "PORT", h.ln.Addr().String()[len("127.0.0.1:"):])
	return strings.ReplaceAll(reply, "|", "\r\n"), true
}

func (h *hostile) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		command, err := readCommand(in)
		if err != nil {
			return
		}
		reply, ok := "+OK\r\n", true
		switch strings.ToLower(command) {
		case "hello":
			reply = "%1\r\n$5\r\nproto\r\n:3\r\n"
		case "client", "auth", "select", "readonly":
		default:
			reply, ok = h.next()
		}
		if !ok {
			return
		}
		if pattern, endless := strings.CutSuffix(reply, "..."); endless {
			many := []byte(strings.Repeat(pattern, 1+4096/len(pattern)))
			for err == nil {
				_, err = conn.Write(many)
			}
			return
		}
		io.WriteString(conn, reply)
	}
}

// readCommand returns the name of the next command.
func readCommand(in *bufio.Reader) (name string, err error) {
	length := func() (n int) {
		line, failed := in.ReadString('\n')
		if err = failed; err == nil {
			for _, c := range strings.TrimSpace(line)[1:] {
				n = 10*n + int(c-'0')
			}
		}
		return n
	}
	for left := length(); err == nil && left > 0; left-- {
		word := make([]byte, length()+2)
		if _, failed := io.ReadFull(in, word); err == nil {
			err = failed
		}
		if name == "" {
			name = string(word[:len(word)-2])
		}
	}
	return name, err
}

// meet has a node of a form meet a server, and returns the error that its session has
// ended with.
func (h *hostile) meet(t *testing.T, form string) error {
	t.Helper()
	u, _ := url.Parse(strings.ReplaceAll(form, "HOST", h.ln.Addr().String()))
	b, err := Open(u, Options{History: 9, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	broker := channels.NewBroker(channels.Options{Backplane: b, History: 9, Numbered: b.history != nil})
	b.Feed = broker.Feed()
	broker.NewInbox(func() {}).Attach(nil, []byte("/a"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*silence)
	defer cancel()
	err = func() (err error) {
		defer func() {
			if p := recover(); p != nil { // as link.Link does
				err = errReply
			}
		}()
		return b.session(ctx)
	}()
	if err == nil || ctx.Err() != nil {
		t.Errorf("%s: a session has ended with %v, want an error, and soon", form, err)
	}
	batch := []*channels.Publication{{Channel: "/a"}, {Channel: "/b", Event: channels.Event{Data: []byte("x")}}}
	b.SendAll(batch)
	b.SendAll(batch[:1])
	if err := b.Close(); err != nil {
		t.Errorf("%s: closing: %v", form, err)
	}
	return err
}

var forms = []string{"redis://HOST", "redis://HOST?history=streams", "redis+sentinel://HOST/0?master_name=m&dialer_retries=1", "redis+cluster://HOST?dialer_retries=1"}

// FuzzHostile has a node hear whatever a server sends. Its sessions have to end, and the
// node to live.
func FuzzHostile(f *testing.F) {
	const (
		subscribed = ">3|$9|subscribe|$23|{millrace:0}:node:ABCDEF|:1||\n+PONG|\n"
		snapshot   = "*6|$1|E|$2|10|$2|12|$1|0|$0||$0||\n"
		slots      = "*1|*3|:0|:16383|*3|$9|127.0.0.1|:PORT|$1|x|"
	)
	for _, script := range []string{
		"+PONG|>3|$7|message|$2|/a|$1|x|>3|$7|message|$0||$1|x|\n>3|$9|subscribe|$2|/a|:1|",
		"+PONG|>3|$7|message|$2|/a|$536870912|x|", "+PONG|*3|$7|message|*0|*0|", "+PONG|>0|", "+PONG|>1|:1|", "+PONG|*2|$4|pong|_|",
		"+PONG|>3|$9|subscribe|:1|$1|x|", "+PONG|>3|$7|message|$2|/a|%1|*0|*0|", "*1000000000|", "$99999999999999999999|", "$-5|", "|", "|1|+a|+b|+PONG|",
		"-NOPERM no|\n-BUSY x|", ":1|", "!3|ERR|", "_|", "#t|", "(99999999999999999999|", ",nan|", "=5|txt:x|",
		subscribed + snapshot + ">3|$9|subscribe|$20|{millrace:0}:stream:/a|:1|\n*7|$1|E|$2|14|$2|12|$1|0|$0||$0||*3|$1|0|$2|12|$1|x|",
		subscribed + snapshot + ">3|$9|subscribe|$20|{millrace:0}:stream:/a|:1|>3|$7|message|$20|{millrace:0}:stream:/a|$9|E 0 7 9 x|",
		subscribed + "*6|:1|:2|:3|:4|:5|:6|", subscribed + "*6|$1| |$2|-1|$20|18446744073709551615|$1|0|$0||$0||", subscribed + "*0|", subscribed + "-NOSCRIPT x|\n*1|*1|*0|",
		"*2|$9|127.0.0.1|$4|PORT|\n*0|\n>3|$9|subscribe|$14|+switch-master|:1|>3|$7|message|$14|+switch-master|$1|m|\n+PONG|",
		"*2|$9|127.0.0.1|$4|PORT|\n*1|%1|$2|ip|$1|x|\n*3|$7|message|:1|:1|", "*1|$1|x|", "*2|_|_|",
		slots + "\n+PONG|", "*1|*3|:-1|:99999999999|*1|*0|", "*1|*2|:0|:1|", "*1|*3|:0|:16383|*4|_|:PORT|$1|x|%1|+a|+b|\n*1|*7|$4|ping|:-1|*0|:0|:0|:0|*0|",
	} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > 4096 || strings.Contains(script, "...") {
			t.Skip("more than enough")
		}
		for _, form := range forms {
			h := startHostile(t, script)
			h.meet(t, form)
			h.close()
		}
	})
}

// Ensure that an endless reply takes neither memory nor stack of a node.
func TestEndless(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, reply := range []string{"x...", "+x...", "$1073741825|...", "$9|...", "*1|...", "*9|...", "*4000000|...", "%1|...", "|0|...", ">1|...", "-x|...", "!1|...", "*9|+...", "(9..."} {
		for _, form := range forms {
			h := startHostile(t, reply)
			if err := h.meet(t, form); err == nil {
				t.Errorf("%s, %q: no error", form, reply)
			}
			h.close()
			runtime.GC() // else the garbage of several adds up on a busy machine
		}
	}
	runtime.ReadMemStats(&after)
	const most = min(3, testenv.Slowness) << 30
	if took := after.HeapSys - before.HeapSys; after.HeapSys > before.HeapSys+most {
		t.Errorf("the heap has grown by %d MB, want at most %d", took>>20, most>>20)
	}
}
