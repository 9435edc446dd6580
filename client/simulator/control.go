package simulator

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// controlPrefix begins the paths that control the simulator itself. They need no token.
const controlPrefix = "/_simulator"

//go:embed help.txt
var helpText string

// control serves the endpoints under controlPrefix.
type control struct{ *Simulator }

func controlHandler(sim *Simulator) http.Handler {
	s := control{sim}
	mux := http.NewServeMux()
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				writeControl(w, controlStatus(err), map[string]string{"error": err.Error()})
			}
		})
	}
	handle("GET "+controlPrefix+"/{$}", s.serveHelp)
	handle("GET "+controlPrefix+"/scenario", s.serveScenario)
	handle("PUT "+controlPrefix+"/scenario", s.changeScenario)
	handle("POST "+controlPrefix+"/reset", s.serveReset)
	handle("POST "+controlPrefix+"/seed", s.serveSeed)
	handle("POST "+controlPrefix+"/user-wrote", s.serveUserWrote)
	handle("POST "+controlPrefix+"/user-changed", s.serveUserChanged)
	handle("GET "+controlPrefix+"/snapshot", s.serveSnapshot)
	handle("GET "+controlPrefix+"/journal", s.serveJournal)
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeControl(w, http.StatusForbidden, map[string]string{"error": "simulator: this request came from another site"})
	}))
	return localNames(csrf.Handler(mux))
}

// localNames refuses requests to a name with a dot in it, other than an IP address: a page
// elsewhere could make such a name resolve to this machine (DNS rebinding).
func localNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		_, err := netip.ParseAddr(host)
		local := err == nil || !strings.Contains(strings.TrimSuffix(host, "."), ".") || strings.HasSuffix(host, ".localhost")
		if !local && host != "example.com" { // that of httptest.NewRequest, and reserved
			writeControl(w, http.StatusMisdirectedRequest, map[string]string{
				"error": "simulator: the controls answer to localhost, IP addresses and names without a dot",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func controlStatus(err error) int {
	if errors.Is(err, ErrBlocked) {
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

// writeControl answers with indented JSON, for people with curl.
func writeControl(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client may be gone
}

// readControl reads a JSON body strictly.
func readControl(r *http.Request, to any) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxScenario+1))
	if err != nil {
		return fmt.Errorf("simulator: read body: %w", err)
	}
	if len(raw) > maxScenario {
		return fmt.Errorf("simulator: the body is larger than %d MiB", maxScenario>>20)
	}
	if err := decodeStrictly(raw, to); err != nil {
		return fmt.Errorf("simulator: read body: %w", err)
	}
	return nil
}

func (s control) serveHelp(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, helpText)
	_, _ = io.WriteString(w, "\nNumbers with a meaning:\n")
	for _, n := range TestNumbers() {
		_, _ = fmt.Fprintf(w, "  %s  %s\n", n.Number, n.Meaning)
	}
	return nil
}

func (s control) serveScenario(w http.ResponseWriter, _ *http.Request) error {
	writeControl(w, http.StatusOK, s.Scenario())
	return nil
}

func (s control) changeScenario(w http.ResponseWriter, r *http.Request) error {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxScenario+1))
	if err != nil {
		return fmt.Errorf("simulator: read body: %w", err)
	}
	sc, err := ParseScenario(text)
	if err != nil {
		return err
	}
	if err := s.SetScenario(sc); err != nil {
		return err
	}
	return s.serveScenario(w, r)
}

func (s control) serveReset(w http.ResponseWriter, _ *http.Request) error {
	s.Reset()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s control) serveSeed(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		PhoneNumberID string   `json:"phone_number_id"`
		Blocked       []string `json:"blocked"`
	}
	if err := readControl(r, &body); err != nil {
		return err
	}
	if err := s.Seed(body.PhoneNumberID, body.Blocked...); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s control) serveUserWrote(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		PhoneNumberID string   `json:"phone_number_id"`
		User          string   `json:"user"`
		Ago           Duration `json:"ago"`
		Webhook       string   `json:"webhook"`
	}
	if err := readControl(r, &body); err != nil {
		return err
	}
	at := s.now().Add(-time.Duration(body.Ago))
	if err := s.UserWrote(body.PhoneNumberID, body.User, at); err != nil {
		return err
	}
	if body.Webhook != "" {
		who, err := s.sender(body.PhoneNumberID, body.User)
		if err != nil {
			return err
		}
		d := s.delivery(body.Webhook, body.PhoneNumberID)
		if err := d.send(r.Context(), d.message(who, at)); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s control) serveUserChanged(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		PhoneNumberID string `json:"phone_number_id"`
		User          string `json:"user"`
		NewUser       string `json:"new_user"`
		NewUserID     string `json:"new_user_id"`
		Webhook       string `json:"webhook"`
	}
	if err := readControl(r, &body); err != nil {
		return err
	}
	before, after, err := s.change(body.PhoneNumberID, body.User, Change{User: body.NewUser, UserID: body.NewUserID})
	if err != nil {
		return err
	}
	if body.Webhook != "" {
		d := s.delivery(body.Webhook, body.PhoneNumberID)
		if err := d.send(r.Context(), d.change(before, after, s.now())); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// snapshot is one list as it is.
type snapshot struct {
	PhoneNumberID string   `json:"phone_number_id"`
	Count         int      `json:"count"`
	WaIDs         []string `json:"wa_ids"`
}

func (s control) serveSnapshot(w http.ResponseWriter, r *http.Request) error {
	ids := s.PhoneNumberIDs()
	if id := r.URL.Query().Get("phone_number_id"); id != "" {
		ids = []string{id}
	}
	all := make([]snapshot, len(ids))
	for i, id := range ids {
		users := s.Snapshot(id)
		if users == nil {
			users = []string{}
		}
		all[i] = snapshot{id, len(users), users}
	}
	writeControl(w, http.StatusOK, all)
	return nil
}

func (s control) serveJournal(w http.ResponseWriter, r *http.Request) error {
	var since int64
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = strconv.ParseInt(text, 10, 64); err != nil {
			return errors.New("simulator: since must be the seq of a call")
		}
	}
	calls, dropped := s.journalSince(since)
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	if err := enc.Encode(journalHead{Calls: len(calls), Dropped: dropped}); err != nil {
		return nil // the client left
	}
	for _, c := range calls {
		if err := enc.Encode(c); err != nil {
			return nil
		}
	}
	return nil
}
