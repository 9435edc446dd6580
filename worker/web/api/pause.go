package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/reply"
)

func (s *server) pause(ctx context.Context, r *http.Request, b body) (answer, error) {
	request := pause.Request{PhoneNumberID: r.PathValue("id"), RequestedBy: callerName(ctx)}
	var operation, lasts string
	err := errors.Join(query(r, nil), checkPhoneNumberID(request.PhoneNumberID), b.object(map[string]field{
		"reason": {&request.Reason, "a string"}, "operation": {&operation, "a string"}, "for": {&lasts, "a string"},
	}))
	if err != nil {
		return answer{}, err
	}
	if request.Operation, err = readOperation(operation); err != nil {
		return answer{}, err
	}
	if request.For, err = duration("for", lasts, pause.MaxTime); err != nil {
		return answer{}, err
	}
	if lasts != "" && request.For < pause.MinTime {
		return answer{}, invalid("for", "for is from 1s to 365d, or left out for a pause without an end")
	}
	set, err := pause.Set(ctx, s.cfg.Redis, request)
	if errors.Is(err, pause.ErrInvalid) {
		return answer{}, invalid("reason", strings.TrimPrefix(err.Error(), "pause: invalid request: "))
	}
	if err != nil {
		return answer{}, err
	}
	s.paused(ctx, audit.Event{Action: audit.Pause, PhoneNumberID: request.PhoneNumberID, Operation: operation, Reason: request.Reason})
	return answer{status: http.StatusOK, body: reply.OfPauses(request.PhoneNumberID, set)}, nil
}

func (s *server) resume(ctx context.Context, r *http.Request, b body) (answer, error) {
	id := r.PathValue("id")
	var operation, reason string
	err := errors.Join(query(r, nil), checkPhoneNumberID(id), b.object(map[string]field{
		"reason": {&reason, "a string"}, "operation": {&operation, "a string"},
	}))
	if err != nil {
		return answer{}, err
	}
	op, err := readOperation(operation)
	if err != nil {
		return answer{}, err
	}
	cleared, err := pause.Clear(ctx, s.cfg.Redis, id, op)
	if err != nil {
		return answer{}, err
	}
	if len(cleared) > 0 {
		s.paused(ctx, audit.Event{Action: audit.Resume, PhoneNumberID: id, Operation: operation, Reason: reason})
	}
	return answer{status: http.StatusOK, body: reply.OfResumed(id, cleared)}, nil
}

// paused notes a pause, or the end of one, in log and audit log.
func (s *server) paused(ctx context.Context, e audit.Event) {
	s.cfg.Logger.InfoContext(ctx, "api: calls paused or resumed", "by", callerName(ctx), "action", string(e.Action),
		"phone_number_id", e.PhoneNumberID, "operation", e.Operation)
	s.record(ctx, e)
}

func readOperation(name string) (ledger.Operation, error) {
	op := ledger.Operation(name)
	if name != "" && !op.Valid() {
		return "", invalid("operation", "operation is block or unblock, or left out for both")
	}
	return op, nil
}
