package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/bench/report"
	"millrace/internal/testenv"
)

// newLab returns a lab that starts what is built from this source.
func newLab(t *testing.T) *Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts servers: not with -short")
	}
	if _, err := processCPU(1); err != nil {
		t.Skip(err)
	}
	l := &Lab{
		Millrace: MillraceOptions{Keepalive: 500 * time.Millisecond, Target: "/bench"},
		Load:     Load{Timeout: patience},
		Document: NewDocument("test", []string{"millbench", "test"}),
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// withMillrace has the lab start a millrace that is built once for all tests.
func (l *Lab) withMillrace(t *testing.T) *Lab {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	l.Millrace.Program = program
	return l
}

// built returns the program, in a directory that TestMain removes.
var built = sync.OnceValues(func() (string, error) { return BuildMillrace(testDir) })

// protocols are those beside HTTP/1.1 in the clear.
var protocols = []Protocol{TLS, H2}

var all = []string{NameMillrace, NameFloor, NameNetHTTP}

// Ensure that every scenario comes to its figures, with every server.
func TestScenarios(t *testing.T) {
	l := newLab(t).withMillrace(t)
	const streams, events = 200, 3
	for _, c := range []struct {
		name string
		run  func() error
		has  func(*report.Result) bool
	}{
		{"hold", func() error { return l.Hold(all[:1], streams, 2*time.Second) }, func(r *report.Result) bool {
			return r.Idle != nil && r.Idle.Pings >= streams && r.Idle.PingsOffMS.Max > 0 && r.Close != nil
		}},
		{"fanout", func() error { return l.FanOut(all, streams, events) }, func(r *report.Result) bool {
			return len(r.Broadcasts) == events && r.Broadcasts[0].Deliveries == streams && len(r.Latency) > 0
		}},
		{"flood", func() error { return l.Flood(all, streams, 200*time.Millisecond) }, func(r *report.Result) bool {
			return r.Flood != nil && r.Flood.Deliveries >= floodBatch*streams && (r.Server != NameMillrace || r.Flood.EventsPerWrite >= 1)
		}},
		{"churn", func() error { return l.Churn(all, streams, 200*time.Millisecond) }, func(r *report.Result) bool {
			return r.Churn != nil && r.Churn.Replaced > 0
		}},
		{"storm", func() error { return l.Storm(all, streams) }, func(r *report.Result) bool {
			return r.Storm != nil && r.Storm.PerSecond > 0
		}},
		{"million", func() error { return l.Million(streams, events, 0, FloorsBoth) }, func(r *report.Result) bool {
			return len(r.Broadcasts) == events
		}},
	} {
		l.Document.Results = nil
		if err := c.run(); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if len(l.Document.Results) == 0 {
			t.Errorf("%s: no result", c.name)
		}
		for _, r := range l.Document.Results {
			if !c.has(r) || r.Connect == nil || r.Connect.PerSecond <= 0 {
				t.Errorf("%s of %s: %s", c.name, r.Server, inJSON(t, r))
			}
		}
	}
	var page bytes.Buffer
	if err := l.Document.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "millbench test", "none twice", "Opening"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

func inJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Ensure that scenarios run over TLS and HTTP/2, too, also with a proxy before millrace.
func TestScenariosOverProtocols(t *testing.T) {
	l := newLab(t).withMillrace(t)
	for _, p := range protocols {
		l.Protocol, l.PerConnection, l.Document.Results = p, 6, nil
		kinds := []string{NameMillrace, NameFloor, NameNetHTTP}
		const streams, events = 100, 3
		if err := errors.Join(
			l.FanOut(kinds, streams, events),
			l.Churn(kinds[:1], streams, 100*time.Millisecond),
			l.Storm(kinds[:1], streams),
			l.Million(streams, events, 0, FloorsNone),
		); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		for _, r := range l.Document.Results {
			if !strings.Contains(r.Server, "+") || len(r.Broadcasts) > 0 && r.Broadcasts[events-1].Deliveries != streams {
				t.Errorf("%s: %s, want %d deliveries of each event", p, inJSON(t, r), streams)
			}
		}
	}
	for _, v := range l.Document.Verdicts {
		if !v.Passed && !strings.Contains(v.What, "per second") {
			t.Errorf("%s: %s, want %s", v.What, v.Got, v.Want)
		}
	}
}

// Ensure that scenarios run with the content coding gzip, too, with every inflated byte checked.
func TestScenariosWithGzip(t *testing.T) {
	l := newLab(t).withMillrace(t)
	l.Protocol = Gzip
	const streams, events = 100, 5
	if err := errors.Join(
		l.FanOut([]string{NameMillrace, NameFloor}, streams, events),
		l.Flood([]string{NameMillrace}, streams, 100*time.Millisecond),
		l.Churn([]string{NameMillrace}, streams, 100*time.Millisecond),
		l.Storm([]string{NameMillrace}, streams),
	); err != nil {
		t.Error(err)
	}
	for _, r := range l.Document.Results {
		if want := "millrace+gzip"; r.Server != want && r.Server != NameFloor {
			t.Errorf("%s was loaded, want %s", r.Server, want)
		}
	}
	if _, err := l.session("floor+gzip", 1); !errors.Is(err, ErrConfig) {
		t.Errorf("floor+gzip: %v, want %v", err, ErrConfig)
	}
}

// Ensure that proxies and nchan, where they are installed, are loaded like the others, over
// each protocol.
func TestProxies(t *testing.T) {
	for _, tool := range []string{"haproxy", "nginx"} {
		testenv.Need(t, tool)
	}
	testenv.NeedFile(t, nchanModule, "apt-get install libnginx-mod-nchan")
	l := newLab(t).withMillrace(t)
	names := []string{"haproxy", "haproxy+tls", "haproxy+h2x6", "nginx", "nginx+tls", "nginx+h2x6", "nchan", "nchan+tls", "nchan+h2x6"}
	if err := l.FanOut(names, 60, 3); err != nil {
		t.Fatal(err)
	}
	for _, r := range l.Document.Results {
		if len(r.Broadcasts) != 3 || r.Broadcasts[2].Deliveries != 60 || r.Version == "" {
			t.Errorf("%s, want 3 events to 60 streams", inJSON(t, r))
		}
	}
}

// Ensure that a server that is not installed is left out, and the report says so.
func TestNotInstalled(t *testing.T) {
	l := newLab(t).withMillrace(t)
	t.Setenv("PATH", t.TempDir())
	if err := l.FanOut([]string{NameMillrace, NameHAProxy, NameNginx}, 10, 1); err != nil || len(l.Document.Results) != 1 || len(l.Document.Notes) != 2 {
		t.Errorf("%v, %d results, notes %q; want one result and two notes", err, len(l.Document.Results), l.Document.Notes)
	}
}

// Ensure that a server that somebody else has started can be loaded, by its
// admin port and by a command.
func TestExternal(t *testing.T) {
	l := newLab(t).withMillrace(t)
	started, err := StartMillrace(l.Millrace, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer started.Close()
	admin := started.publisher.(*RESP).conn.RemoteAddr().String()
	e := External{URL: "http://" + started.Addr + "/x", Addr: started.Addr, Target: "/x?channel=y", Channel: "y", PID: started.pids[0]}
	for _, c := range []struct{ name, admin, command string }{
		{"admin", admin, ""},
		{"command", "", l.Millrace.Program + " publish --admin " + admin + " /x - >/dev/null"},
	} {
		e.Admin, e.Command = c.admin, c.command
		l.External, l.Document.Results = &e, nil
		if err := l.FanOut([]string{"any"}, 100, 3); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r := l.Document.Results[0]; len(r.Broadcasts) != 3 || r.Connect.RSSMB == 0 {
			t.Errorf("%s: %s, want 3 events and memory", c.name, inJSON(t, r))
		}
	}
}
