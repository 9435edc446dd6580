package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestInFlightLimit(t *testing.T) {
	t.Parallel()
	inside, leave := make(chan struct{}), make(chan struct{})
	h := inFlightLimit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside <- struct{}{}
		<-leave
	}), 2)
	request := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		return w
	}
	done := make(chan int, 2)
	for range 2 {
		go func() { done <- request().Code }()
		<-inside
	}
	if w := request(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("a third request: %d", w.Code)
	}
	close(leave)
	for range 2 {
		if code := <-done; code != http.StatusOK {
			t.Errorf("one that was let in: %d", code)
		}
	}
	go func() { done <- request().Code }()
	<-inside
	if code := <-done; code != http.StatusOK {
		t.Errorf("a request after them: %d", code)
	}
}
