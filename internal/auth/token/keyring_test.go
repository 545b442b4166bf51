package token

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/internal/auth/jwt"
	"millrace/internal/testenv"
)

// pemOf is a public key as applications hand it on.
func pemOf(t testing.TB, p pair) string {
	der, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// provider is a server of a JSON Web Key Set, which can be had to fail.
type provider struct {
	*httptest.Server
	handler atomic.Value // http.HandlerFunc
	asked   atomic.Int64
}

func newProvider(t testing.TB, document string) *provider {
	p := new(provider)
	p.serve(document)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		p.handler.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) serve(document string) {
	p.does(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, document) })
}

func (p *provider) does(handler http.HandlerFunc) { p.handler.Store(handler) }

// Ensure that a token with a key that is not known waits until the keys have been fetched
// again, however many there are, and that keys change without a restart.
func TestUnknownKey(t *testing.T) {
	first, second := newPair(t, "first"), newPair(t, "second")
	p := newProvider(t, jwks(t, first))
	a := tokens(t, keyring(t, nil, nil, []string{p.URL + "/jwks?secret=x"}, quick), nil)
	if got := text(ask(t, a, bearing(first.sign(t, `{"channels":["/a"]}`), "/a"), now)); got != `granted [/a] for ""` {
		t.Fatalf("a token of the first key: %s", got)
	}
	p.serve(jwks(t, first, second))
	if got := text(ask(t, a, bearing(second.sign(t, `{"channels":["/a"]}`), "/a"), now)); got != `granted [/a] for ""` {
		t.Errorf("a token of a key that has come: %s", got)
	}
	before, began := p.asked.Load(), time.Now()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			token := pair{fmt.Sprint("unknown", i), first.key}.sign(t, `{"channels":["/a"]}`)
			if got := text(ask(t, a, bearing(token, "/a"), now)); got != "unauthorized unknown_key" {
				t.Errorf("a token of a key that nobody has: %s", got)
			}
		})
	}
	all.Wait()
	if fetches, most := p.asked.Load()-before, int64(time.Since(began)/quick.pause)+2; fetches < 1 || fetches > most {
		t.Errorf("%d fetches for 200 unknown keys, want 1 to %d, one in %v", fetches, most, quick.pause)
	}
	p.serve(jwks(t, second))
	ask(t, a, bearing(pair{"unknown", first.key}.sign(t, `{}`), "/a"), now)
	if got := text(ask(t, a, bearing(first.sign(t, `{"channels":["/a"]}`), "/a"), now)); got != "unauthorized unknown_key" {
		t.Errorf("a token of a key that has gone: %s", got)
	}
}

// Ensure that a key without a name beside those of a set is no reason to refuse a token whose
// key is about to come.
func TestUnknownKeyBesideOthers(t *testing.T) {
	own, first, second := newPair(t, ""), newPair(t, "first"), newPair(t, "second")
	p := newProvider(t, jwks(t, first))
	a := tokens(t, keyring(t, []string{pemOf(t, own)}, nil, []string{p.URL}, quick), nil)
	testenv.Eventually(t, "the keys", func() bool { return a.Stats().Keys == 2 })
	p.serve(jwks(t, first, second))
	if got := text(ask(t, a, bearing(second.sign(t, `{"channels":["/a"]}`), "/a"), now)); got != `granted [/a] for ""` {
		t.Errorf("a token of a key that has come: %s", got)
	}
}

// Ensure that what is logged of a fetch that fails has nothing of the URL's query, however the
// URL is written.
func TestFetchHidesQuery(t *testing.T) {
	for _, url := range []string{"HTTP://127.0.0.1:1/a?key=hidden", "http://127.0.0.1:1/a b?key=hidden", "http://127.0.0.1:1/%7e?key=hidden#hidden", "http://127.0.0.1:1/a\"?key=hidden"} {
		err := keyring(t, nil, nil, []string{url}, quick).Fetched(t.Context())
		if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("%q: %v, want an error with the host and without the query", url, err)
		}
	}
}

// Ensure that for any answer of a provider, keys that are known stay, tokens by others are told
// to come back, and what it sends is bounded.
func TestBadProvider(t *testing.T) {
	known, other := newPair(t, "known"), newPair(t, "other")
	good := jwks(t, known)
	for name, handler := range map[string]http.HandlerFunc{
		"wrong":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"empty":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[]}`) },
		"failing":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, good, 500) },
		"moved":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"slow":     func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"dripping": func(w http.ResponseWriter, r *http.Request) { drip(w, r) },
		"huge":     func(w http.ResponseWriter, r *http.Request) { flood(w) },
		"gone":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"symmetric": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"keys":[{"kty":"oct","kid":"other","k":%q}]}`, b64([]byte(secret)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, good)
			p.does(handler)
			a := tokens(t, keyring(t, nil, nil, []string{p.URL}, quick), nil)
			want := func(what string, by pair, want string) {
				t.Helper()
				if got := text(ask(t, a, bearing(by.sign(t, `{"channels":["/a"]}`), "/a"), now)); got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
			want("before there were keys", known, "later keys")
			p.serve(good)
			testenv.Eventually(t, "the keys", func() bool { return a.Stats().Keys == 1 })
			want("a known key", known, `granted [/a] for ""`)
			want("an unknown one", other, "unauthorized unknown_key")
			p.does(handler)
			want("an unknown one", other, "later keys")
			want("the known key", known, `granted [/a] for ""`)
			if s := a.Stats(); s.Failed == 0 || s.Failed >= s.Fetches {
				t.Errorf("figures: %+v", s)
			}
		})
	}
}

// drip sends a byte from time to time, for ever.
func drip(w http.ResponseWriter, r *http.Request) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			io.WriteString(w, " ")
			w.(http.Flusher).Flush()
		}
	}
}

// flood sends more than may come.
func flood(w http.ResponseWriter) {
	spaces := strings.Repeat(" ", 64<<10)
	for range 64 {
		if _, err := io.WriteString(w, spaces); err != nil {
			return
		}
	}
}

// Ensure that files are read again when they change, that a bad one leaves the keys as
// they are, and that several keys count while one replaces the other.
func TestFiles(t *testing.T) {
	dir, p := t.TempDir(), newPair(t, "k")
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secretFile, pemFile, setFile := write("secret", secret+"\n"), write("key.pem", pemOf(t, p)), write("jwks.json", jwks(t, p))
	k := keyring(t, nil, []string{secretFile, pemFile}, []string{setFile, "file://" + setFile}, quick)
	a := tokens(t, k, nil)
	if s := a.Stats(); s.Keys != 4 {
		t.Fatalf("%d keys, want 4", s.Keys)
	}
	by := func(secret string) string {
		return text(ask(t, a, bearing(hs256(secret, `{"channels":["/a"]}`), "/a"), now))
	}
	const granted, refused = `granted [/a] for ""`, "unauthorized bad_signature"
	if by(secret) != granted || by(otherSecret) != refused {
		t.Errorf("before: %s, %s", by(secret), by(otherSecret))
	}
	write("secret", otherSecret)
	testenv.Eventually(t, "the new secret", func() bool { return by(otherSecret) == granted })
	if by(secret) != refused {
		t.Errorf("the old secret: %s", by(secret))
	}
	for _, bad := range []string{"", "short", secret + "\n" + secret, strings.Repeat("x", 65<<10)} {
		write("secret", bad)
		if err := k.Reload(nil); !errors.Is(err, ErrKeys) && !errors.Is(err, jwt.ErrKey) || strings.Contains(err.Error(), secret) {
			t.Errorf("a file with %.20q: %v", bad, err)
		}
		if by(otherSecret) != granted {
			t.Errorf("a file with %.20q: the key has gone", bad)
		}
	}
	os.Remove(secretFile)
	if err := k.Reload([]string{secret}); err == nil || by(otherSecret) != granted || by(secret) != granted {
		t.Errorf("without the file, and with another key: %v, %s, %s", err, by(otherSecret), by(secret))
	}
}

func TestOpenKeyringRefuses(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	os.WriteFile(empty, nil, 0o600)
	for _, tt := range []struct{ given, file, set, want string }{
		{"short", "", "", "a secret of 5 bytes, want at least 32"},
		{"", filepath.Join(dir, "none"), "", "no such file"},
		{"", empty, "", "is empty"},
		{"", "", empty, "is empty"},
		{"", "", "http://keys.example.org/jwks", "without encryption"},
		{"", "", "https://user:pass@keys.example.org/jwks", "with a user"},
		{"", "", "ftp://keys.example.org/jwks", "another scheme"},
		{"", "", "file://host/jwks", "another scheme"},
		{"", "", "https://%zz/", "cannot be read"},
	} {
		list := func(s string) []string { return strings.Fields(s) }
		k, err := OpenKeyring(list(tt.given), list(tt.file), list(tt.set), slog.New(slog.DiscardHandler))
		if k != nil || !errors.Is(err, ErrKeys) && !errors.Is(err, jwt.ErrKey) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "pass") {
			t.Errorf("%+v: %v, want %s", tt, err, tt.want)
		}
	}
}

// Ensure that the first fetch is told of though it is over before anybody asks.
func TestFetchedAfterwards(t *testing.T) {
	once := times{period: time.Hour, pause: time.Hour, timeout: testenv.Patience, files: time.Hour}
	k := keyring(t, nil, nil, []string{"http://127.0.0.1:1/"}, once)
	for range 2 {
		if err := k.Fetched(t.Context()); !errors.Is(err, ErrKeys) {
			t.Fatalf("%v, want ErrKeys", err)
		}
	}
}
