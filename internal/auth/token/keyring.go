package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/auth/jwt"
)

// times are how long a keyring takes for what it does.
type times struct {
	period  time.Duration // from one fetch to the next,
	pause   time.Duration // which are never closer, whatever number of tokens has unknown keys
	timeout time.Duration // of a fetch
	files   time.Duration // from one look at files to the next
}

var defaultTimes = times{period: 5 * time.Minute, pause: 10 * time.Second, timeout: 5 * time.Second, files: 10 * time.Second}

const (
	// maxKeyFile is the most that a file with a key may have, in bytes.
	maxKeyFile = 64 << 10
	// maxUnknown is how many tokens with unknown keys wait for a fetch.
	maxUnknown = 1024
)

// readAgain is what is logged when keys in files have changed.
const readAgain = "keys of tokens have been read again from their files"

// ErrKeys is wrapped by refusals of what keys are to be read from.
var ErrKeys = errors.New("keys of tokens")

// Keyring has the keys of tokens, from wherever they come: as they were given, from files
// of one key each, and from JSON Web Key Sets in files and at URLs. What cannot be read
// again stays as it was. Safe for concurrent use.
type Keyring struct {
	log     *slog.Logger
	times   times
	client  *http.Client
	given   atomic.Pointer[jwt.Set]
	sources []*keySource
	fetches bool                    // one of sources is at a URL
	set     atomic.Pointer[jwt.Set] // all together; the pointer tells whether they have changed
	missing atomic.Bool             // a source has not been read yet

	first      chan struct{} // closed when keys have been fetched once,
	firstError error         // which had this come of it

	reading sync.Mutex // held while sources are read; loops never wait for it

	mu      sync.Mutex // held for an append or a swap
	unknown []waiter
	begun   int64         // fetches
	over    bool          // nothing is fetched any more
	wanted  chan struct{} // a fetch is; never closed

	stop    context.CancelFunc
	running sync.WaitGroup
	tries   atomic.Int64 // to fetch from a URL
	failed  atomic.Int64 // of tries
}

// keySource is a file or a URL with keys.
type keySource struct {
	name   string // as it may be shown
	path   string // of a file, or
	url    string
	isSet  bool // a JSON Web Key Set, else one key
	digest [sha256.Size]byte
	set    jwt.Set // nil: not read yet
}

// OpenKeyring returns the keys given (see [jwt.ParseKey]), those of files that have one
// key each, and those of JSON Web Key Sets, each a path, a file:// or an https:// URL;
// http:// only of this host. What is at a URL is fetched in the background. Errors wrap
// jwt.ErrKey or ErrKeys.
func OpenKeyring(given, files, sets []string, log *slog.Logger) (*Keyring, error) {
	return openKeyring(given, files, sets, log, defaultTimes)
}

func openKeyring(given, files, sets []string, log *slog.Logger, times times) (*Keyring, error) {
	k := &Keyring{log: log, times: times, wanted: make(chan struct{}, 1), first: make(chan struct{}), client: &http.Client{
		Timeout:       times.timeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if err := k.setGiven(given); err != nil {
		return nil, err
	}
	for _, path := range files {
		k.sources = append(k.sources, &keySource{name: path, path: path})
	}
	for _, set := range sets {
		source, err := setSource(set)
		if err != nil {
			return nil, err
		}
		k.sources = append(k.sources, source)
	}
	for _, s := range k.sources {
		if s.url != "" {
			k.fetches = true
		} else if _, err := s.read(); err != nil {
			return nil, err
		}
	}
	k.assemble()
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	if k.fetches {
		k.running.Go(func() { k.fetch(ctx) })
	}
	if len(k.sources) > 0 {
		k.running.Go(func() { k.watch(ctx) })
	}
	return k, nil
}

// setSource returns the source of a JSON Web Key Set.
func setSource(text string) (*keySource, error) {
	if !strings.Contains(text, "://") {
		return &keySource{name: text, path: text, isSet: true}, nil
	}
	u, err := url.Parse(text)
	wrong := func(why string) (*keySource, error) {
		return nil, fmt.Errorf("%w: a JSON Web Key Set at a URL %s, want https://HOST/PATH, file:///PATH or a path", ErrKeys, why)
	}
	switch {
	case err != nil:
		return wrong("that cannot be read")
	case u.Scheme == "file" && u.Host == "" && u.Path != "":
		return &keySource{name: u.Path, path: u.Path, isSet: true}, nil
	case u.Host == "" || u.User != nil:
		return wrong("without a host, or with a user")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return &keySource{name: u.Scheme + "://" + u.Host + u.Path, url: text, isSet: true}, nil
	case u.Scheme == "http":
		return wrong("without encryption, by which anybody on the way could give keys")
	}
	return wrong("of another scheme")
}

func isLoopback(host string) bool {
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "::1"
}

// setGiven has other given keys count.
func (k *Keyring) setGiven(texts []string) error {
	given := make(jwt.Set, 0, len(texts))
	for _, text := range texts {
		key, err := jwt.ParseKey(text)
		if err != nil {
			return err
		}
		given = append(given, key)
	}
	k.given.Store(&given)
	return nil
}

// Set returns the keys as they are now.
func (k *Keyring) Set() *jwt.Set { return k.set.Load() }

// IsMissing tells whether keys have not been fetched yet: a token that is refused may be
// good.
func (k *Keyring) IsMissing() bool { return k.missing.Load() }

// IsFetching tells whether keys are fetched: one that is not known may be there by now.
func (k *Keyring) IsFetching() bool { return k.fetches }

// Reload has other given keys count, and reads the files again. Where something is wrong,
// what was stays; errors wrap jwt.ErrKey or ErrKeys. Keys at URLs are fetched again soon.
func (k *Keyring) Reload(given []string) error {
	errs := []error{k.setGiven(given)}
	changed := false
	k.reading.Lock()
	for _, s := range k.sources {
		if s.url == "" {
			is, err := s.read()
			changed, errs = changed || is, append(errs, err)
		}
	}
	k.reading.Unlock()
	k.assemble()
	k.want()
	if changed {
		k.log.Info(readAgain)
	}
	return errors.Join(errs...)
}

// assemble puts the set of all sources together.
func (k *Keyring) assemble() {
	k.reading.Lock()
	defer k.reading.Unlock()
	all, missing := append(jwt.Set(nil), *k.given.Load()...), false
	for _, s := range k.sources {
		missing = missing || s.set == nil
		all = append(all, s.set...)
	}
	k.set.Store(&all)
	k.missing.Store(missing)
}

// watch looks at files from time to time, since whatever renews keys does not tell.
func (k *Keyring) watch(ctx context.Context) {
	ticker := time.NewTicker(k.times.files)
	defer ticker.Stop()
	wrong := make(map[*keySource]string) // what was logged last
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		changed := false
		for _, s := range k.sources {
			if s.url != "" {
				continue
			}
			k.reading.Lock()
			is, err := s.read()
			k.reading.Unlock()
			changed = changed || is
			text := fmt.Sprint(err)
			if err != nil && text != wrong[s] {
				k.log.Error("a file of keys cannot be read again, its keys stay as they are", "error", err)
			}
			wrong[s] = text
		}
		if changed {
			k.assemble()
			k.log.Info(readAgain)
		}
	}
}

// read reads a file, and tells whether it has changed.
func (s *keySource) read() (changed bool, err error) {
	most := maxKeyFile
	if s.isSet {
		most = jwt.MaxSetBytes
	}
	file, err := os.Open(s.path)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	switch {
	case err != nil:
		return false, fmt.Errorf("%w: %w", ErrKeys, err)
	case len(text) > most:
		return false, fmt.Errorf("%w: %s has more than %d bytes", ErrKeys, s.name, most)
	case len(text) == 0:
		return false, fmt.Errorf("%w: %s is empty, want a key in it: has the program that writes it failed?", ErrKeys, s.name)
	}
	return s.take(text)
}

// take takes what a source has now.
func (s *keySource) take(text []byte) (changed bool, err error) {
	digest := sha256.Sum256(text)
	if s.set != nil && digest == s.digest {
		return false, nil
	}
	var set jwt.Set
	if s.isSet {
		if set, _, err = jwt.ParseSet(text, s.url == ""); err != nil {
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
	} else {
		line, _ := strings.CutSuffix(string(text), "\n")
		line, _ = strings.CutSuffix(line, "\r")
		key, err := jwt.ParseKey(line)
		if err == nil && !strings.Contains(line, "-----BEGIN") && strings.ContainsAny(line, "\r\n") {
			err = fmt.Errorf("%w: a secret of several lines, want one", jwt.ErrKey)
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
		set = jwt.Set{key}
	}
	s.set, s.digest = set, digest
	return true, nil
}
