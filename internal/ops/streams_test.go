package ops

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/eventstream"
	"millrace/server"
)

// follow opens an event stream of the ops port until the test ends.
func (n *node) follow(target string) *eventstream.Reader {
	n.t.Helper()
	return n.stream("http://" + n.ops.Addr().String() + target)
}

// Ensure that the dashboard gets what was before it, and then a sample a second.
func TestEvents(t *testing.T) {
	n := start(t, Config{Version: "v1"}, channels.Options{}, server.Config{Loops: 2})
	n.subscribe("/a")
	for i := range 2 {
		stream := n.follow("/events")
		var first about
		if err := json.Unmarshal([]byte(await(t, stream, "about")), &first); err != nil || first.Version != "v1" || first.Loops != 2 {
			t.Fatalf("about: %+v, %v", first, err)
		}
		if len(first.Samples) < 2*i {
			t.Errorf("connection %d: %d samples of the time before, want at least %d", i, len(first.Samples), 2*i)
		}
		at := newestTime(first.Samples)
		for range 2 {
			var one sample
			if err := json.Unmarshal([]byte(await(t, stream, "sample")), &one); err != nil || one.Time <= at || one.Streams != 1 {
				t.Fatalf("sample: %+v, %v; want one after %d with 1 stream", one, err, at)
			}
			at = one.Time
		}
	}
}

// Ensure that a follower gets events as a subscriber does, and counts as one.
func TestFollow(t *testing.T) {
	n := start(t, Config{}, channels.Options{History: 1, Epoch: "E"}, server.Config{Loops: 1})
	n.want("GET", "/follow", "", 400, "bad channel name")
	stream := n.follow("/follow?channel=/a")
	await(t, stream, "millrace.following")
	n.want("POST", "/publish?channel=/a&event=x", "hello", 200, `{"id":"E-1","receivers":1}`)
	if data := await(t, stream, "x"); data != "hello" || stream.LastID != "E-1" {
		t.Errorf("the follower got %q with the id %q, want hello with E-1", data, stream.LastID)
	}
}

// Ensure that a follower that does not read holds up nothing, and is told how much it
// misses.
func TestFollowerIsBounded(t *testing.T) {
	f := follower{filled: make(chan struct{}, 1)}
	event := []byte("data: " + strings.Repeat("x", 1000) + "\n\n")
	const events = 1000
	for range events {
		f.put(event)
	}
	got := string(f.take())
	fit := maxUnread / len(event)
	want := strings.Repeat(string(event), fit) + fmt.Sprintf("event: millrace.skipped\ndata: %d\n\n", events-fit)
	if got != want {
		t.Errorf("%d bytes that end in %q, want %d bytes that end in %q", len(got), got[len(got)-50:], len(want), want[len(want)-50:])
	}
	if rest := f.take(); len(rest) != 0 {
		t.Errorf("%q is left", rest)
	}
}

// Ensure that a publisher does not wait for a follower that does not read.
func TestPublishersDoNotWaitForFollowers(t *testing.T) {
	n := start(t, Config{}, channels.Options{}, server.Config{Loops: 1})
	await(t, n.follow("/follow?channel=/a"), "millrace.following") // and no more
	data := []byte(strings.Repeat("x", 59<<10))
	for i := range 500 { // 30 MB
		if _, err := n.broker.Publish("/a", channels.Event{Data: data}); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
}

// Ensure that the event streams of this port are bounded, and come back.
func TestStreamsAreBounded(t *testing.T) {
	n := start(t, Config{}, channels.Options{}, server.Config{Loops: 1})
	for range maxStreams {
		n.follow("/follow?channel=/a")
	}
	for _, target := range []string{"/follow?channel=/a", "/events", "/busiest"} {
		n.want("GET", target, "", 503, "64 event streams are open")
	}
	n.want("GET", "/busiest?by=name", "", 400, "want subscribers or rate")
}

// Ensure that a survey agrees with a naive one, whatever comes and goes between
// two looks.
func TestSurvey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		broker := channels.NewBroker(channels.Options{History: 1})
		in := broker.NewInbox(func() {})
		filter := rapid.SampledFrom([]string{"", "1", "c"}).Draw(t, "filter")
		by := rapid.SampledFrom([]string{"subscribers", "rate"}).Draw(t, "by")
		v := survey{broker: broker, filter: filter, by: order[by]}
		names := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf("c%d", rapid.IntRange(0, 700).Draw(t, "channel"))
		}), 1, 200)
		now := time.Unix(1, 0)
		subscribers := make(map[string]int)
		for look := range 3 {
			messages := make(map[string]int)
			for _, name := range names.Draw(t, "published") {
				broker.Publish(name, channels.Event{})
				messages[name]++
			}
			for _, name := range names.Draw(t, "subscribed") {
				in.Attach(nil, []byte(name))
				subscribers[name]++
			}
			now = now.Add(2 * time.Second)
			r := v.look(now)
			matching := 0
			for _, i := range broker.Ports().Page(nil, "", "", 1000) {
				if strings.Contains(i.Name, filter) {
					matching++
				}
			}
			if r.All != broker.Ports().Figures().Channels || r.Matching != matching || len(r.Channels) != min(matching, maxBusiest) {
				t.Fatalf("look %d: %d channels of %d, of %d; want %d of %d", look, len(r.Channels), r.Matching, r.All, matching, broker.Ports().Figures().Channels)
			}
			for i, c := range r.Channels {
				rate := float64(messages[c.Name]) / 2
				if look == 0 {
					rate = 0 // there is nothing to compare with
				}
				if c.Subscribers != subscribers[c.Name] || c.Rate != rate {
					t.Fatalf("look %d: %+v, want %d subscribers and %v events a second", look, c, subscribers[c.Name], rate)
				}
				if i > 0 && order[by](r.Channels[i-1], c) >= 0 {
					t.Fatalf("look %d: %+v stands before %+v, by %s", look, r.Channels[i-1], c, by)
				}
			}
		}
	})
}

// Ensure that samples are kept for 15 minutes, and rates are those of a second.
func TestSampler(t *testing.T) {
	broker := channels.NewBroker(channels.Options{})
	public, err := server.New(server.Config{Listen: "127.0.0.1:0", Loops: 1}, broker)
	if err != nil {
		t.Fatal(err)
	}
	defer public.Close()
	synctest.Test(t, func(t *testing.T) {
		s := newSampler(&Config{Broker: broker, Streams: public})
		go s.run(t.Context())
		began := time.Now()
		synctest.Wait()
		for range 10 {
			broker.Publish("/a", channels.Event{})
		}
		time.Sleep(samplePeriod)
		synctest.Wait()
		samples, next := s.since(0)
		if len(samples) != 1 || samples[0].Published != 10 || samples[0].Time != began.Add(time.Second).UnixMilli() {
			t.Errorf("the first samples: %+v, want one after a second with 10 published", samples)
		}
		time.Sleep(samplePeriod)
		<-next
		if samples, _ = s.since(samples[0].Time); len(samples) != 1 || samples[0].Published != 0 {
			t.Errorf("the next samples: %+v, want one with none published", samples)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		samples, _ = s.since(0)
		if age := time.Now().UnixMilli() - samples[0].Time; len(samples) != sampleCount || age != 1000*(sampleCount-1) {
			t.Errorf("%d samples, the oldest %d ms old; want %d, %d ms", len(samples), age, sampleCount, 1000*(sampleCount-1))
		}
	})
}
