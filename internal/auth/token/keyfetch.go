package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/auth/jwt"
)

// want has keys fetched as soon as they may be.
func (k *Keyring) want() {
	select {
	case k.wanted <- struct{}{}:
	default: // wanted already
	}
}

// waiter is what waits for a fetch.
type waiter struct {
	begun int64 // fetches that had begun when it came
	then  func(failed error, last bool)
}

// Await calls then from another goroutine once keys have been fetched again, with what has
// gone wrong. If that fetch had begun before, it is not the last one to wait for. Await
// returns false, and forgets then, if nothing is fetched or too much waits.
func (k *Keyring) Await(then func(failed error, last bool)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.fetches || k.over || len(k.unknown) >= maxUnknown {
		return false
	}
	k.unknown = append(k.unknown, waiter{k.begun, then})
	k.want()
	return true
}

// Fetched waits until keys have been fetched for the first time, if any are, and returns
// what has gone wrong then.
func (k *Keyring) Fetched(ctx context.Context) error {
	if !k.fetches {
		return nil
	}
	select {
	case <-k.first:
		return k.firstError
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetch fetches keys until ctx is done: at once, from time to time, and whenever that is
// wanted, but never twice within the pause.
func (k *Keyring) fetch(ctx context.Context) {
	for said := ""; ; {
		k.mu.Lock()
		k.begun++
		begun := k.begun
		k.mu.Unlock()
		changed, err := k.fetchAll(ctx)
		if changed {
			k.assemble()
		}
		if begun == 1 {
			k.firstError = err
			close(k.first)
		}
		for _, w := range k.takeUnknown() {
			w.then(err, w.begun < begun)
		}
		switch text := fmt.Sprint(err); {
		case ctx.Err() != nil:
			return
		case err != nil && text != said:
			k.log.Error("keys of tokens cannot be fetched, those that are known stay", "error", err)
			said = text
		case err == nil && said != "":
			k.log.Info("keys of tokens have been fetched again")
			said = ""
		}
		period := k.times.period
		if err != nil {
			period = k.times.pause
		}
		pause, again := time.NewTimer(k.times.pause), time.NewTimer(period)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
		case <-k.wanted:
		case <-again.C:
		}
		pause.Stop()
		again.Stop()
	}
}

// fetchAll fetches the keys of all URLs, at the same time.
func (k *Keyring) fetchAll(ctx context.Context) (changed bool, err error) {
	errs := make([]error, len(k.sources))
	var others atomic.Bool
	var all sync.WaitGroup
	for i, s := range k.sources {
		if s.url == "" {
			continue
		}
		all.Go(func() {
			var is bool
			if is, errs[i] = k.fetchOne(ctx, s); is {
				others.Store(true)
			}
		})
	}
	all.Wait()
	return others.Load(), errors.Join(errs...)
}

// fetchOne fetches the keys of a URL, and tells whether they have changed.
func (k *Keyring) fetchOne(ctx context.Context, s *keySource) (changed bool, err error) {
	k.tries.Add(1)
	text, err := k.get(ctx, s)
	if err == nil {
		k.reading.Lock()
		changed, err = s.take(text)
		k.reading.Unlock()
	}
	if err != nil {
		k.failed.Add(1)
		return false, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	return changed, nil
}

// get returns what is at the URL of a source. Errors have the source's name in place of
// the URL, whose query may have a secret, and which net/http quotes in a form of its own.
func (k *Keyring) get(ctx context.Context, s *keySource) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%s is no URL", s.name)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := k.client.Do(request)
	if quoted := (*url.Error)(nil); errors.As(err, &quoted) {
		err = quoted.Err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s, want 200 and a JSON Web Key Set", s.name, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, jwt.MaxSetBytes+1))
}

// takeUnknown returns what waits for a fetch, and forgets it.
func (k *Keyring) takeUnknown() []waiter {
	k.mu.Lock()
	defer k.mu.Unlock()
	waiting := k.unknown
	k.unknown = nil
	return waiting
}

// Close ends the fetching. What waits is told.
func (k *Keyring) Close() {
	k.stop()
	k.running.Wait()
	k.mu.Lock()
	k.over = true
	k.mu.Unlock()
	for _, w := range k.takeUnknown() {
		w.then(context.Canceled, true)
	}
}
