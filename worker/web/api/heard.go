package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/reply"
)

// maxEvents bounds the events of one request.
const maxEvents = 1000

// heardEvents is a list of events, of no more than maxEvents.
type heardEvents struct {
	list     []tasks.HeardEvent
	rejected []tasks.Rejection // for their times
	places   []int             // of list
}

var errNotEvents = errors.New("not a list of events")

// UnmarshalJSON reads the list up to its bound.
func (h *heardEvents) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errNotEvents
	}
	for place := 1; dec.More(); place++ {
		if place > maxEvents {
			return newProblem(http.StatusRequestEntityTooLarge, "too-many-events", fmt.Sprintf("the request has more than %d events: send several", maxEvents))
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return errNotEvents
		}
		var e tasks.HeardEvent
		var at instant
		err := body{kindJSON, raw}.object(map[string]field{
			"user": {&e.User, "a string"}, "wa_id": {&e.WaID, "a string"}, "user_id": {&e.UserID, "a string"},
			"at": {&at, "a time such as 2026-12-01T09:00:00Z, or Unix seconds"},
		})
		if err != nil {
			return err
		}
		if at.unread {
			h.rejected = append(h.rejected, tasks.Rejection{
				Input: cmp.Or(e.User, e.WaID, e.UserID), Line: place, Reason: "at is a time such as 2026-12-01T09:00:00Z, or Unix seconds",
			})
			continue
		}
		e.At = at.Time
		h.list, h.places = append(h.list, e), append(h.places, place)
	}
	return nil
}

// instant is a time as RFC 3339 has it, or in Unix seconds as webhooks have it, as a number or a string.
type instant struct {
	time.Time
	unread bool
}

// maxSeconds bounds Unix seconds to years that a time can have.
const maxSeconds = 250_000_000_000

// UnmarshalJSON reads the time. What is a string or number and not a time is unread.
func (i *instant) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) != nil {
		if len(text) == 0 || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
			return errors.New("not a time")
		}
		s = string(text)
	}
	if s == "" {
		return nil
	}
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil && seconds > -maxSeconds && seconds < maxSeconds {
		i.Time = time.Unix(seconds, 0)
		return nil
	}
	var err error
	i.Time, err = time.Parse(time.RFC3339, s)
	i.unread = err != nil
	return nil
}

func (s *server) heard(ctx context.Context, r *http.Request, b body) (answer, error) {
	var id string
	var events heardEvents
	err := errors.Join(query(r, nil), b.object(map[string]field{
		"phone_number_id": {&id, "a string"}, "events": {&events, "a list of events"},
	}))
	if err != nil {
		return answer{}, err
	}
	if err := checkPhoneNumberID(id); err != nil {
		return answer{}, err
	}
	if id = cmp.Or(id, s.cfg.PhoneNumberID); id == "" {
		return answer{}, invalid("phone_number_id", "several phone numbers are configured: say which with phone_number_id")
	}
	if len(events.list)+len(events.rejected) == 0 {
		return answer{}, newProblem(http.StatusUnprocessableEntity, "no-events", "the request has no events: send from 1 to 1,000")
	}
	for i := range events.list {
		events.list[i].PhoneNumberID = id
	}
	report, err := s.producer.Heard(ctx, events.list...)
	if err != nil {
		return answer{}, err
	}
	for i, rejected := range report.Rejected {
		report.Rejected[i].Line = events.places[rejected.Line-1]
	}
	report.Rejected = append(report.Rejected, events.rejected...)
	slices.SortFunc(report.Rejected, func(a, b tasks.Rejection) int { return a.Line - b.Line })
	if report.Revived > 0 {
		s.cfg.Logger.InfoContext(ctx, "api: users who wrote are asked for again", "by", callerName(ctx), "phone_number_id", id, "users", report.Revived)
	}
	return answer{status: http.StatusAccepted, body: reply.OfHeard(id, report)}, nil
}
