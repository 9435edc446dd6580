package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/reply"
)

// maxStatusUsers bounds the users of one question.
const maxStatusUsers = 1000

// statusAnswer is the answer of /v1/status.
type statusAnswer struct {
	Users    []reply.Status    `json:"users"`
	Rejected []tasks.Rejection `json:"rejected"`
}

func (s *server) status(ctx context.Context, r *http.Request, b body) (answer, error) {
	var id, country string
	users := inputs{most: maxStatusUsers}
	err := errors.Join(query(r, nil), b.object(map[string]field{
		"phone_number_id": {&id, "a string"}, "country": {&country, "a string"}, "users": {&users, "a list of strings"},
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
	c, err := s.country(country)
	if err != nil {
		return answer{}, err
	}
	list := numbers.Parse(users.list, c)
	if len(list.Users) == 0 {
		return answer{}, noUsers(list.Rejected)
	}
	out := statusAnswer{Users: []reply.Status{}, Rejected: append([]tasks.Rejection{}, list.Rejected...)}
	for chunk := range slices.Chunk(list.Users, ledger.MaxBatch) {
		states, err := reply.Statuses(ctx, s.cfg.Redis, id, chunk)
		if err != nil {
			return answer{}, err
		}
		out.Users = append(out.Users, states...)
	}
	return answer{status: http.StatusOK, body: out}, nil
}
