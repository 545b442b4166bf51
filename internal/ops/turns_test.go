package ops

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
)

// Ensure that no more costly answers are made at a time than there may be, that others
// wait, and that a client which has gone waits no longer.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, under, most := make(turns, 2), 0, 0
		goOn := make(chan struct{})
		h := turns.take(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			under++
			most = max(most, under)
			<-goOn
			under--
			w.Header().Set("X-Made", "yes")
			w.WriteHeader(http.StatusTeapot)
			w.Write([]byte("tea"))
		}))
		answers := make(chan *httptest.ResponseRecorder, 5)
		ask := func(ctx context.Context) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil))
			answers <- w
		}
		for range 4 {
			go ask(t.Context())
			synctest.Wait()
		}
		gone, leave := context.WithCancel(t.Context())
		go ask(gone)
		synctest.Wait()
		leave()
		if w := <-answers; w.Body.Len() > 0 || under != 2 {
			t.Errorf("a client that has gone got %q, and %d answers are under way, want none, and 2", w.Body, under)
		}
		for range 4 {
			goOn <- struct{}{}
			if w := <-answers; w.Code != http.StatusTeapot || w.Body.String() != "tea" || w.Header().Get("X-Made") != "yes" {
				t.Errorf("the answer is %d %q %v", w.Code, w.Body, w.Header())
			}
			synctest.Wait()
		}
		if most != 2 {
			t.Errorf("%d answers were made at a time, want 2", most)
		}
	})
}
