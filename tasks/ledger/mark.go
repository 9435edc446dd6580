package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// WakeChannel is the Redis pub/sub channel on which Mark publishes the phone number ID whose users
// begin to wait, so that an idle worker starts at once. A message that gets lost costs time,
// nothing else: the task that follows is the wake-up that can't get lost.
const WakeChannel = "wablock:poke"

// Mark writes down each request that is newer than what the ledger holds for its user, and
// returns where each request stands, in the order given. Marking what is marked already
// changes nothing, so Mark is also how a task looks at its users, and may be repeated when a
// reply got lost. It takes at most MaxBatch requests; runs of requests that share everything
// but the user cost least, and may name no user twice.
func (l *Ledger) Mark(ctx context.Context, requests []Request) ([]State, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	args, err := l.markArgs(requests)
	if err != nil {
		return nil, fmt.Errorf("ledger: mark: %w", err)
	}
	letters, err := markScript.Run(ctx, l.rdb, append(slices.Clone(l.keys), l.versionKey, l.endsKey, l.personsKey, l.jobsPrefix, l.countsKey), args...).Text()
	if err != nil {
		return nil, fmt.Errorf("ledger: mark: %w", err)
	}
	if len(letters) != len(requests) {
		return nil, fmt.Errorf("ledger: mark: %w", ErrReply)
	}
	return statesOf(letters), nil
}

func (l *Ledger) markArgs(requests []Request) ([]any, error) {
	if err := checkBatch(len(requests)); err != nil {
		return nil, err
	}
	args := make([]any, 0, len(requests)+6)
	args = append(args, WakeChannel, l.phoneNumberID)
	for len(requests) > 0 {
		n := run(requests, (*Request).sameButUser)
		r := requests[0]
		if err := r.validate(); err != nil {
			return nil, err
		}
		job, err := r.Job.begins()
		if err != nil {
			return nil, err
		}
		args = append(args, r.Operation.letter(), r.Queue.letter(), int64(r.Version), r.Job.text(), r.Job.Ends, r.Job.Part, job, n)
		for _, r := range requests[:n] {
			if r.User.IsZero() {
				return nil, fmt.Errorf("%w: a request without a user", ErrInvalid)
			}
			args = append(args, r.User.Reveal())
		}
		requests = requests[n:]
	}
	return args, nil
}

func (r *Request) sameButUser(other *Request) bool {
	return r.Operation == other.Operation && r.Queue == other.Queue && r.Version == other.Version && r.Job == other.Job
}

// validate checks everything but the user.
func (r *Request) validate() error {
	switch {
	case !r.Operation.Valid():
		return fmt.Errorf("%w: a request without an operation", ErrInvalid)
	case !r.Queue.Valid():
		return fmt.Errorf("%w: a request without a queue", ErrInvalid)
	case r.Version <= 0:
		return fmt.Errorf("%w: a request without a version", ErrInvalid)
	case r.Job.Text != "" && !IsDigest(r.Job.Text) || r.Job.Ends < 0 || r.Job.Part < 0:
		return fmt.Errorf("%w: a request whose job can't be written down", ErrInvalid)
	}
	return nil
}

// text returns the word for a record, "" for a job that is not counted.
func (j JobRef) text() string {
	if !j.Counted {
		return ""
	}
	return cmp.Or(j.Text, "-")
}

// begins returns what the job's record begins with, "" for a job that is not counted or compared.
func (j JobRef) begins() (string, error) {
	if !j.Counted || j.ID == "" {
		return "", nil
	}
	id, err := json.Marshal(j.ID)
	return `{"id":` + string(id) + ",", err
}

func statesOf(letters string) []State {
	states := make([]State, len(letters))
	for i := range letters {
		states[i] = State(letters[i])
	}
	return states
}
