package channels

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// follower is a backplane that writes down what is followed.
type follower struct {
	feed  Feed
	calls []string
}

func (f *follower) Send(channel string, ev Event) (Receipt, error) {
	return f.feed.Deliver(channel, ev)
}

func (f *follower) Health() error { return nil }

func (f *follower) Follow(channel string) (uint64, bool) {
	f.calls = append(f.calls, "follow "+channel)
	return 0, true
}

func (f *follower) Unfollow(channel string) { f.calls = append(f.calls, "unfollow "+channel) }

// Ensure that a channel is followed while a stream or a listener is there, and that
// a pattern follows nothing.
func TestObserversFollow(t *testing.T) {
	f := &follower{}
	b := NewBroker(Options{Backplane: f})
	f.feed = b.Feed()
	in, e := b.NewInbox(func() {}), &naiveEar{}
	b.Ports().ObserveGlob(e, "*")
	b.Ports().Observe(e, "/a", "/b")
	b.Ports().Observe(e, "/a")
	chans, _ := in.Attach(nil, []byte("/a"))
	b.Ports().Unobserve(e, "/a", "/b", "/c")
	b.Ports().Unobserve(e, "/a")
	in.Detach(chans...)
	b.Ports().UnobserveGlob(e, "*")
	b.Ports().UnobserveGlob(e, "*")
	want := []string{"follow /a", "follow /b", "unfollow /b", "unfollow /a"}
	if !slices.Equal(f.calls, want) {
		t.Errorf("the backplane was told %q, want %q", f.calls, want)
	}
	b.verify(t)
}

// Ensure that observers which come together are as good as those that come one by one.
func TestObserveTogether(t *testing.T) {
	f := &follower{}
	b := NewBroker(Options{Backplane: f})
	f.feed = b.Feed()
	one, two, three := &naiveEar{}, &naiveEar{}, &naiveEar{}
	p := b.Ports()
	p.Observe(one, "/a")
	p.ObserveTogether()
	p.ObserveTogether(Audience{"/a", []Observer{two, three}}, Audience{"/b", []Observer{two, three}})
	b.verify(t)
	for channel, want := range map[string]int{"/a": 3, "/b": 2, "/c": 0} {
		if r, err := b.Publish(channel, Event{Data: []byte("x")}); r.Receivers != want || err != nil || p.Subscribers(channel) != want {
			t.Errorf("%s: %d receivers, %d subscribers, %v; want %d", channel, r.Receivers, p.Subscribers(channel), err, want)
		}
	}
	for _, e := range []*naiveEar{one, two, three} {
		p.Unobserve(e, "/a", "/b")
	}
	b.verify(t)
	if want := []string{"follow /a", "follow /b", "unfollow /a", "unfollow /b"}; !slices.Equal(f.calls, want) {
		t.Errorf("the backplane was told %q, want %q", f.calls, want)
	}
}

// Ensure that a listener hears what a publisher said, and not what a stream makes
// of it.
func TestListenerHearsTheData(t *testing.T) {
	b, said := NewBroker(Options{}), "one\r\ntwo\rthree\n"
	var heard []string
	b.Ports().Observe(ear{&heard}, "/a")
	if r, err := b.Publish("/a", Event{Data: []byte(said), Type: "news"}); r.Receivers != 1 || err != nil {
		t.Errorf("Publish = %+v, %v, want 1 receiver", r, err)
	}
	if want := []string{"/a " + said}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

type ear struct{ lines *[]string }

func (e ear) Hear(_ Glob, channel string, data []byte) {
	*e.lines = append(*e.lines, fmt.Sprintf("%s %s", channel, data))
}

// Ensure that streams get what is decoded and listeners what was said; that a
// publisher is refused what cannot be decoded, and that it is not lost when it comes
// from elsewhere.
func TestDecode(t *testing.T) {
	var undecoded, heard []string
	refused := errors.New("refused")
	b := NewBroker(Options{
		Decode: func(channel string, data []byte) ([]byte, error) {
			if data[0] == 'x' {
				return nil, refused
			}
			return bytes.ToUpper(data), nil
		},
		Undecoded: func(channel string, err error) { undecoded = append(undecoded, channel+" "+err.Error()) },
	})
	in := b.NewInbox(func() {})
	in.Attach(nil, []byte("/a"))
	b.Ports().Observe(ear{&heard}, "/a")
	mustPublish(t, b, "/a", "said", 2)
	if r, err := b.Publish("/a", Event{Data: []byte("x1")}); r != (Receipt{}) || err != refused {
		t.Errorf("Publish = %+v, %v, want %v", r, err, refused)
	}
	if r, err := b.Feed().Deliver("/a", Event{Data: []byte("x2")}); r.Receivers != 2 || err != nil {
		t.Errorf("Deliver = %+v, %v, want 2 receivers", r, err)
	}
	var sent []string
	for _, m := range in.Take(nil) {
		sent = append(sent, string(m.Wire))
	}
	if want := []string{"data: SAID\n\n", "data: x2\n\n"}; !slices.Equal(sent, want) {
		t.Errorf("streams got %q, want %q", sent, want)
	}
	if want := []string{"/a said", "/a x2"}; !slices.Equal(heard, want) {
		t.Errorf("listeners heard %q, want %q", heard, want)
	}
	if want := []string{"/a refused"}; !slices.Equal(undecoded, want) || b.Ports().Figures().Undecoded != 1 {
		t.Errorf("undecoded: %q, counted %d, want %q", undecoded, b.Ports().Figures().Undecoded, want)
	}
}

// Ensure that streams and observers have the same order, with many publishers.
func TestListenersHearTheOneOrder(t *testing.T) {
	b := NewBroker(Options{})
	in := b.NewInbox(func() {})
	var heard []string
	in.Attach(nil, []byte("/a"), []byte("/b"))
	b.Ports().Observe(ear{&heard}, "/a", "/b")
	var publishing sync.WaitGroup
	for p := range 4 {
		publishing.Go(func() {
			for i := range 500 {
				b.Publish([]string{"/a", "/b"}[i%2], Event{Data: fmt.Appendf(nil, "%d-%d", p, i)})
			}
		})
	}
	publishing.Wait()
	var sent []string
	for _, m := range in.Take(nil) {
		sent = append(sent, fmt.Sprintf("%s %s", m.Channel.Name(), m.Wire[len("data: "):len(m.Wire)-2]))
	}
	if len(sent) != 2000 || !slices.Equal(heard, sent) {
		t.Errorf("%d messages to streams, %d to listeners, in another order", len(sent), len(heard))
	}
}

// Ensure that a pattern that comes while an event is on its way hears it, and one that
// goes does not.
func TestGlobsThatComeAndGoMeanwhile(t *testing.T) {
	b := NewBroker(Options{})
	early, late := &naiveEar{}, &naiveEar{}
	b.Ports().ObserveGlob(early, "/a*")
	a, err := b.Feed().Prepare("/ab", Event{Data: []byte("x")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.Ports().ObserveGlob(late, "*b")
	b.Ports().ObserveGlob(late, "/c*")
	b.Ports().UnobserveGlob(early, "/a*")
	if r, err := b.Feed().Admit(a); err != nil || r.Receivers != 1 {
		t.Errorf("Admit = %+v, %v, want 1 receiver", r, err)
	}
	if len(early.heard) != 0 || len(late.heard) != 1 {
		t.Errorf("who left heard %q, who came %q; want nothing and one event", early.heard, late.heard)
	}
}

// BenchmarkGlobs is a publish beside as many patterns as there can be, and how long it
// holds up the broker.
func BenchmarkGlobs(b *testing.B) {
	broker, e := NewBroker(Options{}), &naiveEar{}
	for i := range 16384 {
		broker.Ports().ObserveGlob(e, Glob(fmt.Sprintf("/rooms/*/%d", i)))
	}
	var a *Arrival
	b.Run("match", func(b *testing.B) {
		for b.Loop() {
			a, _ = broker.Feed().Prepare("/rooms/some/name", benchEvent, 0)
		}
	})
	b.Run("hold", func(b *testing.B) {
		for b.Loop() {
			broker.Feed().Admit(a)
		}
	})
}
