package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/wablock/wablock/config/secret"
)

// Path is the path to which Meta sends webhooks.
const Path = "/webhooks/whatsapp"

// MaxBody bounds a body; Meta sends up to 3 MB.
const MaxBody = 4 << 20

// The bounds of requests: those of small bodies and of large ones, which are few, are counted apart, so that
// bodies take 16 MiB and 32 MiB at the most. Meta comes again where one finds no place.
const (
	smallBody   = 64 << 10
	smallAtOnce = 256
	largeAtOnce = 8
	readTime    = 10 * time.Second
	takeTime    = 8 * time.Second
	retryAfter  = "5"
	rereadAfter = time.Second
	saidAfter   = time.Minute // between two lines of the log on one fault
)

// Consumer takes the events of one webhook. It may get them again, in another order, and from several goroutines.
// Its error has Meta send the webhook again.
type Consumer func(ctx context.Context, events []Event) error

// Config holds what webhooks are received with. Secrets and VerifyToken are required.
type Config struct {
	// Secrets verify what is posted: a body counts that is signed with one of them. They are read again when a
	// signature fails, once a second at most.
	Secrets *secret.Source
	// VerifyToken answers the handshake.
	VerifyToken *secret.Source
	// Serves reports whether a phone number ID is one of ours; events of others are counted and dropped. Nil: all are.
	Serves func(ctx context.Context, phoneNumberID string) (bool, error)
	// Consumers take the events, one after the other.
	Consumers []Consumer
	// Metrics may be nil for none.
	Metrics Metrics
	// Logger may be nil for none.
	Logger *slog.Logger
}

// Metrics counts events by kind, and requests by outcome; the names are few and fixed.
type Metrics interface {
	WebhookEvents(kind string, n int)
	WebhookRequest(outcome string)
}

type noMetrics struct{}

func (noMetrics) WebhookEvents(string, int) {}
func (noMetrics) WebhookRequest(string)     {}

// handler receives webhooks.
type handler struct {
	cfg          Config
	small, large chan struct{}

	mu           sync.Mutex
	reread, said time.Time
}

// New returns the handler of [Path].
func New(cfg Config) (http.Handler, error) {
	if cfg.Secrets == nil || cfg.VerifyToken == nil {
		return nil, errors.New("webhook: Config.Secrets and Config.VerifyToken are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = noMetrics{}
	}
	if cfg.Serves == nil {
		cfg.Serves = func(context.Context, string) (bool, error) { return true, nil }
	}
	return &handler{cfg: cfg, small: make(chan struct{}, smallAtOnce), large: make(chan struct{}, largeAtOnce)}, nil
}

// Off answers in place of webhooks where they are not set up.
func Off() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, "webhooks are turned off here: set WABLOCK_WEBHOOK_VERIFY_TOKEN and WABLOCK_APP_SECRET, or their files")
	})
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		h.handshake(w, r)
	case http.MethodPost:
		h.post(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		answer(w, http.StatusMethodNotAllowed, "webhooks are sent by POST, and the handshake by GET")
	}
}

// challengeForm matches challenges that are echoed, as text: nothing that a browser could take for markup.
var challengeForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,128}$`)

// handshake proves to Meta that the address is ours.
func (h *handler) handshake(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	challenge := q.Get("hub.challenge")
	switch {
	case q.Get("hub.mode") != "subscribe" || !h.cfg.VerifyToken.Get().Matches(q.Get("hub.verify_token")):
		h.complain(r.Context(), "webhook: handshake refused: the verify token is not that of WABLOCK_WEBHOOK_VERIFY_TOKEN", "remote", r.RemoteAddr)
		answer(w, http.StatusForbidden, "not a handshake with the verify token of this address")
	case !challengeForm.MatchString(challenge):
		answer(w, http.StatusForbidden, "a handshake without a challenge of letters and digits")
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, challenge) //nolint:gosec // letters and digits, as text; an error: the client is gone
	}
}

// post takes a webhook. What is signed is answered 200, whatever it holds: Meta would send it again for days.
func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	status, text := h.receive(w, r)
	switch status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "X-Hub-Signature-256")
	}
	if status != http.StatusOK {
		w.Header().Set("Connection", "close") // what is left of the body is not read
	}
	h.cfg.Metrics.WebhookRequest(outcomes[status])
	answer(w, status, text)
}

var outcomes = map[int]string{ //nolint:gochecknoglobals // never changes
	http.StatusOK: "taken", http.StatusUnauthorized: "unsigned", http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType: "encoded", http.StatusBadRequest: "cut_off", http.StatusServiceUnavailable: "unavailable",
}

func (h *handler) receive(w http.ResponseWriter, r *http.Request) (status int, text string) {
	signature, ok := signatureOf(r)
	switch {
	case !ok:
		return http.StatusUnauthorized, "no X-Hub-Signature-256 of sha256= and 64 hex digits"
	case r.ContentLength > MaxBody:
		return http.StatusRequestEntityTooLarge, "the body has more than 4 MiB"
	case r.Header.Get("Content-Encoding") != "" && !strings.EqualFold(r.Header.Get("Content-Encoding"), "identity"):
		return http.StatusUnsupportedMediaType, "the signature is of the body as it was sent: send it without Content-Encoding"
	}
	slots := h.large
	if r.ContentLength >= 0 && r.ContentLength <= smallBody {
		slots = h.small
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		return http.StatusServiceUnavailable, "too many webhooks at once: send it again"
	}
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(readTime)) // a test's recorder has no connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	_ = conn.SetReadDeadline(time.Time{})
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return http.StatusRequestEntityTooLarge, "the body has more than 4 MiB"
	}
	if err != nil {
		return http.StatusBadRequest, "the body ended too early, or came too slowly"
	}
	if !h.signed(r.Context(), body, signature) {
		return http.StatusUnauthorized, "the signature is not of this body with an app secret that is known here"
	}
	ctx, cancel := context.WithTimeout(r.Context(), takeTime)
	defer cancel()
	if err := h.take(ctx, body); err != nil {
		h.complain(ctx, "webhook: events could not be written; Meta sends them again", "error", err.Error())
		return http.StatusServiceUnavailable, "Redis could not be written: send it again"
	}
	return http.StatusOK, ""
}

// signatureOf returns the signature that a request carries, false for none of the right form.
func signatureOf(r *http.Request) (sum []byte, ok bool) {
	text, ok := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	if !ok || len(text) != 2*sha256.Size {
		return nil, false
	}
	sum, err := hex.DecodeString(text)
	return sum, err == nil
}

// signed reports whether a body is signed with one of the secrets, having read them again if it is not.
func (h *handler) signed(ctx context.Context, body, signature []byte) bool {
	if matches(h.cfg.Secrets.All(), body, signature) {
		return true
	}
	h.mu.Lock()
	due := time.Since(h.reread) >= rereadAfter
	if due {
		h.reread = time.Now()
	}
	h.mu.Unlock()
	if due {
		if changed, err := h.cfg.Secrets.Reload(); err != nil {
			h.complain(ctx, "webhook: the app secret can't be read again", "error", err.Error())
		} else if changed {
			h.cfg.Logger.InfoContext(ctx, "webhook: the app secret was read again")
		}
	}
	if matches(h.cfg.Secrets.All(), body, signature) {
		return true
	}
	h.complain(ctx, "webhook: refused: the signature is of no app secret that is known here", "bytes", len(body))
	return false
}

// matches compares with each secret, so that the time reveals nothing.
func matches(secrets []secret.String, body, signature []byte) bool {
	found := false
	for _, s := range secrets {
		found = hmac.Equal(s.Sign(body), signature) || found
	}
	return found
}

// take passes the events of a body on, those of phone number IDs that are served.
func (h *handler) take(ctx context.Context, body []byte) error {
	var events []Event
	counts, err := Walk(body, func(e Event) { events = append(events, e) })
	if err != nil {
		h.complain(ctx, "webhook: a signed body is not what Meta sends", "bytes", len(body))
	}
	kept, strange, err := h.served(ctx, events)
	if err != nil {
		return err
	}
	for _, consume := range h.cfg.Consumers {
		if len(kept) == 0 {
			break
		}
		if err := consume(ctx, kept); err != nil {
			return err
		}
	}
	byKind := map[Kind]int{}
	for _, e := range kept {
		byKind[e.Kind]++
	}
	for kind, n := range byKind {
		h.cfg.Metrics.WebhookEvents(string(kind), n)
	}
	for name, n := range map[string]int{"ignored": counts.Ignored, "unreadable": counts.Unreadable, "unknown_number": strange} {
		if n > 0 {
			h.cfg.Metrics.WebhookEvents(name, n)
		}
	}
	return nil
}

// served parts the events of our phone number IDs from others, which it counts.
func (h *handler) served(ctx context.Context, events []Event) (kept []Event, strange int, err error) {
	known := map[string]bool{}
	for _, e := range events {
		ours, asked := known[e.PhoneNumberID]
		if !asked {
			if ours, err = h.cfg.Serves(ctx, e.PhoneNumberID); err != nil {
				return nil, 0, err
			}
			known[e.PhoneNumberID] = ours
		}
		if ours {
			kept = append(kept, e)
		} else {
			strange++
		}
	}
	return kept, strange, nil
}

// complain logs a fault, once a minute at most: strangers can cause some of them at will.
func (h *handler) complain(ctx context.Context, msg string, args ...any) {
	h.mu.Lock()
	due := time.Since(h.said) >= saidAfter
	if due {
		h.said = time.Now()
	}
	h.mu.Unlock()
	if due {
		h.cfg.Logger.WarnContext(ctx, msg, args...) //nolint:sloglint // each caller's message is constant
	}
}

// answer writes a reason that a person can act upon.
func answer(w http.ResponseWriter, status int, text string) {
	if text == "" {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text}) // the client is gone
}
