package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// ask sends a command to the admin port and returns the line of its reply, or its text.
func (s *service) ask(command string) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.admin)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, command+"\r\n")
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if strings.HasPrefix(line, "$") {
		line, err = r.ReadString('\n')
	}
	if err != nil {
		s.t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(line)
}

// opens has a ticket open a stream, which ends, and returns the status of the answer.
func (s *service) opens(ticket string) int {
	s.t.Helper()
	response, err := http.Get("http://" + s.public + "/x?ticket=" + url.QueryEscape(ticket))
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// counted returns the metrics of the ops port that only grow, without labels or with.
func (s *service) counted() map[string]float64 {
	s.t.Helper()
	response, err := http.Get("http://" + s.ops + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	series := make(map[string]float64)
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		family, _, _ := strings.Cut(name, "{")
		if grows := strings.HasSuffix(family, "_total") || strings.HasSuffix(family, "_count"); !grows || !strings.HasPrefix(name, "millrace_") {
			continue
		}
		if series[name], err = strconv.ParseFloat(value, 64); err != nil {
			s.t.Fatal(err)
		}
	}
	return series
}

// Ensure that over upgrades tickets open once, and by the key that was drawn; that nobody who
// is kicked meanwhile is let in or keeps a stream; and that no metric falls.
func TestUpgradeAccess(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := serve(t, nil, "--ticket-key", "random")
	ticket := func(user string) string { return s.ask("SSE.TICKET EX 3600 USER " + user + " /x") }
	stream := func(ticket string) *follower {
		t.Helper()
		l := &follower{t: t, Client: ssetest.Client{Target: "/x?ticket=" + url.QueryEscape(ticket)}}
		s.open(&l.Client)
		t.Cleanup(l.Close)
		return l
	}
	status := func(ticket string, want int, why string) {
		t.Helper()
		if got := s.opens(ticket); got != want {
			t.Errorf("%s: status %d, want %d", why, got, want)
		}
	}
	spent, kept, kicked, late := ticket("mia"), ticket("kai"), ticket("mia"), ticket("kai")
	mia, kai := stream(spent), stream(ticket("kai"))
	was := s.counted()
	result := s.upgrade(order{}, func(at step) {
		if at.Step != "moved" { // all streams are the successor's, all publishers are not
			return
		}
		status(spent, 401, "a ticket that was opened before")
		if reply := s.ask("SSE.KICK USER mia FOR 60"); !strings.HasPrefix(reply, ":") {
			t.Errorf("a kick during an upgrade: %s", reply)
		}
		status(kicked, 401, "a ticket of a user who has been kicked")
		status(late, 200, "a ticket of another one")
	})
	if result.Result != resultDone {
		t.Fatalf("%+v, want %q", result, resultDone)
	}
	if status, err := reap(s.main); err != nil || status.ExitStatus() != 0 {
		t.Errorf("a process that was told of a kick ends with %v, %v; want status 0", status, err)
	}
	s.main = result.PID
	for err := error(nil); err == nil; {
		if _, err = mia.Next(); err != nil && err != io.EOF {
			t.Errorf("the stream of a kicked user ends with %v, want an end in order", err)
		}
	}
	status(spent, 401, "a ticket that was opened before the upgrade")
	status(late, 401, "a ticket that was opened during the upgrade")
	status(kicked, 401, "a ticket that was issued before the kick")
	s.done()
	status(spent, 401, "a ticket that was opened two processes ago")
	status(kicked, 401, "a ticket that was issued before the kick two processes ago")
	status(kept, 200, "a ticket that was issued two processes ago")
	status(ticket("mia"), 200, "a ticket that was issued after the kick")
	s.ask("PUBLISH /x 7")
	for {
		event, err := kai.Next()
		if err != nil {
			t.Fatal(err)
		}
		if event.Data == "7" {
			break
		}
	}
	is := s.counted()
	for name, before := range was {
		if after, there := is[name]; !there || after < before {
			t.Errorf("%s was %g and is %g, %t", name, before, after, there)
		}
	}
	if got, want := is["millrace_streams_opened_total"], was["millrace_streams_opened_total"]+3; got < want {
		t.Errorf("%g streams were opened, want %g or more", got, want)
	}
}

// Ensure that TLS sessions are resumed at the process that takes over, and that addresses are
// let in no faster.
func TestUpgradeArrivals(t *testing.T) {
	t.Parallel() // it waits most of the time
	cert, key := testenv.Certificate(t, "localhost", "127.0.0.1")
	s := serve(t, nil, "--tls-listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--accept-rate-per-ip", "6/h")
	session := tls.NewLRUClientSessionCache(1)
	visit := func() (line string, resumed bool) {
		t.Helper()
		conn, err := tls.Dial("tcp", s.secure, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: session})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(conn, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
		all, _ := bufio.NewReader(conn).ReadString('\n') // the ticket comes before
		return all, conn.ConnectionState().DidResume
	}
	visit()
	s.done()
	if line, resumed := visit(); !resumed || !strings.Contains(line, " 200 ") {
		t.Errorf("after an upgrade: resumed %t, %q; want a stream of the session before", resumed, line)
	}
	for range 4 {
		visit()
	}
	s.done()
	response, err := http.Get("http://" + s.public + "/x") // the seventh within an hour
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body) // which a stream would never end
	if !strings.HasPrefix(string(body), "retry: ") {
		t.Errorf("a connection above the rate of its address is answered with %q, want a time to come back", body)
	}
}
