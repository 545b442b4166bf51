package ticket

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/internal/auth"
)

var now = time.Unix(1_790_000_000, 0)

// keysOf returns the keys of a text, each of one letter.
func keysOf(t testing.TB, letters ...string) *Keys {
	t.Helper()
	var texts []string
	for _, letter := range letters {
		texts = append(texts, strings.Repeat(letter, leastKey))
	}
	keys, err := ParseKeys(strings.Join(texts, ","))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func issue(t testing.TB, tickets *Tickets, g Grant) string {
	t.Helper()
	text, err := tickets.Issue(g, now)
	if err != nil {
		t.Fatalf("Issue(%v): %v", g, err)
	}
	return text
}

// judge opens a ticket as a stream does that asks for channels.
func judge(tickets *Tickets, text string, at time.Time, need ...string) auth.Verdict {
	r := &auth.Request{Method: "GET", Path: "/events", Query: Param + "=" + text, Channels: need}
	found, _ := tickets.Find(r)
	v, _ := tickets.Judge(r, found, need, at, nil)
	return v
}

func wantRefused(t *testing.T, what string, v auth.Verdict, status auth.Status, reason string) {
	t.Helper()
	if v.Status != status || v.Reason != reason || v.Means != auth.MeansTicket || v.Text == "" || v.Renewal != "" || v.Channels != nil {
		t.Errorf("%s: %+v, want %v for %q", what, v, status, reason)
	}
}

// Ensure that a ticket opens one stream, and that its renewals open one each after it,
// until the end of what was granted.
func TestTicketAndRenewals(t *testing.T) {
	tickets := New(keysOf(t, "a"))
	var told []Opened
	tickets.Announce(func(o Opened) { told = append(told, o) })
	text := issue(t, tickets, Grant{Channels: []string{"/a", "chat:1"}, User: "Grüße", OpenFor: 30 * time.Second, Until: time.Hour})
	first := judge(tickets, text, now.Add(30*time.Second))
	if first.Status != auth.Granted || !slices.Equal(first.Channels, []string{"/a", "chat:1"}) || first.User != "Grüße" ||
		!first.Issued.Equal(now) || !first.Expires.Equal(now.Add(time.Hour)) || first.Renewal == "" {
		t.Fatalf("a ticket: %+v", first)
	}
	wantRefused(t, "the ticket again", judge(tickets, text, now), auth.Unauthorized, "spent")
	second := judge(tickets, first.Renewal, now.Add(50*time.Minute))
	if second.Status != auth.Granted || !slices.Equal(second.Channels, first.Channels) || !second.Issued.Equal(now) || !second.Expires.Equal(first.Expires) {
		t.Fatalf("its renewal: %+v", second)
	}
	wantRefused(t, "the renewal again", judge(tickets, first.Renewal, now), auth.Unauthorized, "spent")
	wantRefused(t, "the ticket after its renewal", judge(tickets, text, now), auth.Unauthorized, "spent")
	wantRefused(t, "a renewal at the end", judge(tickets, second.Renewal, now.Add(time.Hour)), auth.Unauthorized, "expired")
	if len(told) != 2 || told[0].Generation != 0 || told[1].Generation != 1 || !slices.Equal(told[0].Family, told[1].Family) {
		t.Errorf("announced: %+v", told)
	}
}

func TestRefusals(t *testing.T) {
	tickets := New(keysOf(t, "a"))
	text := issue(t, tickets, Grant{Channels: []string{"/a", "/b"}, OpenFor: time.Minute})
	for what, tt := range map[string]struct {
		text   string
		at     time.Time
		reason string
	}{
		"none":            {"", now, "malformed"},
		"two":             {text + "&ticket=" + text, now, "malformed"},
		"another form":    {"?", now, "malformed"},
		"a long one":      {strings.Repeat("A", maxText+1), now, "malformed"},
		"padded":          {text + "=", now, "malformed"},
		"cut":             {text[:len(text)/4*4-4], now, "key"},
		"a short one":     {"AAAA", now, "key"},
		"changed":         {flip(text, len(text)/2), now, "key"},
		"another nonce":   {flip(text, 0), now, "key"},
		"of another key":  {issue(t, New(keysOf(t, "b")), Grant{Channels: []string{"/a"}}), now, "key"},
		"of another run":  {issue(t, New(RandomKeys()), Grant{Channels: []string{"/a"}}), now, "key"},
		"opened too late": {text, now.Add(time.Minute + time.Second), "expired"},
	} {
		wantRefused(t, what, judge(tickets, tt.text, tt.at), auth.Unauthorized, tt.reason)
	}
	wantRefused(t, "another channel", judge(tickets, text, now, "/a", "/c"), auth.Forbidden, "no_grant")
	if v := judge(tickets, text, now, "/b"); v.Status != auth.Granted || !slices.Equal(v.Channels, []string{"/b"}) {
		t.Errorf("one of the channels, after all of that: %+v", v)
	}
}

// flip changes a letter.
func flip(text string, i int) string {
	other := byte('A')
	if text[i] == other {
		other = 'B'
	}
	return text[:i] + string(other) + text[i+1:]
}

// Ensure that a renewal grants no more than its stream had.
func TestRenewalOfPart(t *testing.T) {
	tickets := New(keysOf(t, "a"))
	v := judge(tickets, issue(t, tickets, Grant{Channels: []string{"/a", "/b"}}), now, "/b")
	wantRefused(t, "the other channel", judge(tickets, v.Renewal, now, "/a"), auth.Forbidden, "no_grant")
	if v := judge(tickets, v.Renewal, now); !slices.Equal(v.Channels, []string{"/b"}) {
		t.Errorf("a renewal: %+v, want /b", v)
	}
}

// Ensure that asking for the head alone does not spend a ticket.
func TestHead(t *testing.T) {
	tickets := New(keysOf(t, "a"))
	text := issue(t, tickets, Grant{Channels: []string{"/a"}})
	for range 2 {
		if v, ok := tickets.Judge(&auth.Request{Method: "HEAD"}, text, nil, now, nil); !ok || v.Status != auth.Granted || v.Renewal != "" {
			t.Errorf("HEAD: %+v", v)
		}
	}
	if v := judge(tickets, text, now); v.Status != auth.Granted {
		t.Errorf("GET after it: %+v", v)
	}
}

// Ensure that keys can take each other's place without a ticket lost, and that a key that
// has gone opens nothing.
func TestRotation(t *testing.T) {
	tickets := New(keysOf(t, "a"))
	one, two := issue(t, tickets, Grant{Channels: []string{"/a"}}), issue(t, tickets, Grant{Channels: []string{"/a"}})
	tickets.SetKeys(keysOf(t, "b", "a"))
	if v := judge(tickets, one, now); v.Status != auth.Granted {
		t.Errorf("a ticket of the key before: %+v", v)
	}
	fresh := issue(t, tickets, Grant{Channels: []string{"/a"}})
	tickets.SetKeys(keysOf(t, "b"))
	wantRefused(t, "a ticket of a key that has gone", judge(tickets, two, now), auth.Unauthorized, "key")
	if v := judge(tickets, fresh, now); v.Status != auth.Granted {
		t.Errorf("a ticket of the new key: %+v", v)
	}
}

func TestParseKeys(t *testing.T) {
	long := strings.Repeat("x", leastKey)
	for text, want := range map[string]string{
		long: "", long + "," + long: "",
		"":                                  "0 bytes",
		long[1:]:                            "31 bytes",
		long + ",":                          "0 bytes",
		long + "," + long + "," + long:      "more than 2",
		strings.Repeat(",", 3*(leastKey+1)): "0 bytes",
	} {
		_, err := ParseKeys(text)
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, ErrKey) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), long)) {
			t.Errorf("ParseKeys(%.40q): %v, want %q", text, err, want)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	tickets := New(RandomKeys())
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprint("/", i)
	}
	wide := make([]string, 20)
	for i := range wide {
		wide[i] = fmt.Sprintf("/%d%s", i, strings.Repeat("x", 200))
	}
	for want, g := range map[string]Grant{
		"for 0 channels":      {},
		"for 65 channels":     {Channels: many},
		"2048":                {Channels: wide},
		"twice":               {Channels: []string{"/a", "/a"}},
		"bad channel name":    {Channels: []string{"/a\n"}},
		"bad name of a user":  {Channels: []string{"/a"}, User: "\x00"},
		"to be opened within": {Channels: []string{"/a"}, OpenFor: MaxOpenFor + 1},
		"want 1s to 1h0m0s":   {Channels: []string{"/a"}, OpenFor: -time.Second},
		"until 721h0m0s":      {Channels: []string{"/a"}, Until: MaxUntil + time.Hour},
		"want 1s to 720h0m0s": {Channels: []string{"/a"}, Until: time.Millisecond},
	} {
		if text, err := tickets.Issue(g, now); !errors.Is(err, ErrGrant) || !strings.Contains(err.Error(), want) || text != "" {
			t.Errorf("Issue(%.100v) = %q, %v, want %q", g, text, err, want)
		}
	}
	for i := range wide {
		wide[i] = wide[i][:102]
	}
	text := issue(t, tickets, Grant{Channels: wide, User: strings.Repeat("x", auth.MaxUser)})
	if v := judge(tickets, text, now); v.Status != auth.Granted || len(text) > maxText {
		t.Errorf("the longest ticket, %d letters: %+v", len(text), v)
	}
}

// Ensure that a ticket that another node has opened is not opened here, and that what it says is
// bounded.
func TestHear(t *testing.T) {
	here, there := New(keysOf(t, "a")), New(keysOf(t, "a"))
	there.Announce(func(o Opened) { here.Hear(o, now) })
	text := issue(t, here, Grant{Channels: []string{"/a"}})
	renewal := judge(there, text, now).Renewal
	wantRefused(t, "a ticket that another node has opened", judge(here, text, now), auth.Unauthorized, "spent")
	if v := judge(here, renewal, now); v.Status != auth.Granted {
		t.Errorf("its renewal here: %+v", v)
	}
	known := here.Stats().Known
	for _, o := range []Opened{{}, {Family: []byte("short"), Until: now.Unix() + 1}, {Family: make([]byte, 16), Until: now.Unix()},
		{Family: make([]byte, 16), Until: now.Add(MaxUntil).Unix() + 1}} {
		if here.Hear(o, now); here.Stats().Known != known {
			t.Errorf("Hear(%+v) was taken", o)
		}
	}
}

// Ensure that no ticket opens two streams, whatever there is room for, and that with room
// for all each opens one.
func TestSpentModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := now
		tickets := New(RandomKeys())
		tickets.spent.most = rapid.SampledFrom([]int{2, 4, 8, 1000}).Draw(t, "most")
		roomy := tickets.spent.most == 1000
		var fresh, old []string
		t.Repeat(map[string]func(*rapid.T){
			"issue": func(t *rapid.T) {
				text, err := tickets.Issue(Grant{Channels: []string{"/a"}, OpenFor: time.Hour, Until: 12 * time.Hour}, at)
				if err != nil {
					t.Fatal(err)
				}
				fresh = append(fresh, text)
			},
			"wait": func(t *rapid.T) { at = at.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "seconds")) * time.Second) },
			"open": func(t *rapid.T) {
				if len(fresh) == 0 {
					t.Skip("no ticket")
				}
				i := rapid.IntRange(0, len(fresh)-1).Draw(t, "ticket")
				v := judge(tickets, fresh[i], at)
				old = append(old, fresh[i])
				fresh = slices.Delete(fresh, i, i+1)
				switch {
				case v.Status == auth.Granted:
					fresh = append(fresh, v.Renewal)
				case v.Reason == "expired":
				case v.Reason != "forgotten" || roomy:
					t.Fatalf("a fresh ticket: %+v", v)
				}
			},
			"again": func(t *rapid.T) {
				if len(old) == 0 {
					t.Skip("none was opened")
				}
				if v := judge(tickets, rapid.SampledFrom(old).Draw(t, "ticket"), at); v.Status == auth.Granted {
					t.Fatalf("opened twice: %+v", v)
				}
			},
			"": func(t *rapid.T) {
				if known, _ := tickets.spent.figures(); known > tickets.spent.most {
					t.Fatalf("%d families are known, want at most %d", known, tickets.spent.most)
				}
			},
		})
	})
}

// FuzzJudge ensures that whatever comes is judged, and grants nothing unless it was
// issued.
func FuzzJudge(f *testing.F) {
	tickets := New(keysOf(f, "a"))
	f.Add(issue(f, tickets, Grant{Channels: []string{"/a"}, User: "u"}))
	f.Add("")
	f.Add("AAAA")
	f.Add(strings.Repeat("A", maxText))
	f.Fuzz(func(t *testing.T, text string) {
		v := judge(New(keysOf(t, "b")), text, now)
		if v.Status == auth.Granted || v.Text == "" || len(text) > 8 && strings.Contains(v.Text, text) {
			t.Errorf("%q: %+v", text, v)
		}
	})
}

// FuzzParse ensures that contents are read back as they were written, and that any bytes
// can be read.
func FuzzParse(f *testing.F) {
	f.Add((&contents{family: family{1}, generation: 2, issued: 3, openBy: 4, until: 5, user: "u", channels: []string{"/a", "/b"}}).append(nil))
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, plain []byte) {
		var c, again contents
		if c.parse(plain) != nil {
			return
		}
		if err := again.parse(c.append(nil)); err != nil || again.user != c.user || !slices.Equal(again.channels, c.channels) || again.family != c.family {
			t.Errorf("%q: %+v, and again %+v, %v", plain, c, again, err)
		}
	})
}

// BenchmarkOpen is what a loop does for a ticket: it may take 10 µs.
func BenchmarkOpen(b *testing.B) {
	tickets := New(RandomKeys())
	v := judge(tickets, issue(b, tickets, Grant{Channels: []string{"/rooms/42"}, User: "user-4711"}), now)
	b.ReportAllocs()
	for b.Loop() {
		if v = judge(tickets, v.Renewal, now); v.Status != auth.Granted {
			b.Fatal(v)
		}
	}
}
