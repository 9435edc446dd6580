package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// JobLimits bound what is kept of jobs.
type JobLimits struct {
	// Retention is the time that a job is kept, from when it was accepted or is due.
	Retention time.Duration
	// Jobs bounds those that are kept per phone number ID: the newest are. Fifty times as many users of
	// theirs are kept, at least a million.
	Jobs int
}

// The defaults of JobLimits.
const (
	DefaultJobRetention = 30 * 24 * time.Hour
	DefaultJobsKept     = 100_000
)

// usersPerJob bounds the users of all jobs that are kept, together, as a multiple of the jobs; leastUsers are
// kept however few the jobs, so that no large job is dropped while it runs.
const (
	usersPerJob = 50
	leastUsers  = 1_000_000
)

// JobRecord holds what is kept of a job.
type JobRecord struct {
	ID        string    `json:"id"` // the first: mark.lua knows the record of a job by its beginning
	Operation Operation `json:"op"`
	Queue     Queue     `json:"queue"`
	// Text is the digest of who asked and why.
	Text     string `json:"text,omitempty"`
	At       int64  `json:"at"`              // when it was accepted, Unix ms
	Due      int64  `json:"due,omitempty"`   // of a delayed job, Unix ms
	Ends     int64  `json:"until,omitempty"` // of a timed block, Unix ms
	Accepted int    `json:"accepted"`
	Parts    int    `json:"parts"`
	Rejected int    `json:"rejected,omitempty"`
	// Request tells requests under one ID apart.
	Request string `json:"request,omitempty"`
	// UndoOf is the ID of the job that this one undoes.
	UndoOf string `json:"undo_of,omitempty"`
	// Traceparent names the span of the request, "" where none was recorded.
	Traceparent string `json:"traceparent,omitempty"`

	// Version is not in the JSON: it is the field's name.
	Version Version `json:"-"`
	Counts  Counts  `json:"-"`
	By      Text    `json:"-"`
}

// Counts counts the users of a job by how they ended. What is not counted is pending.
type Counts struct {
	Succeeded, Dead, Superseded, Canceled int
	// Codes counts the dead by the API's code; 0 for those without one.
	Codes map[int]int
	// LastEnded is the time at which one ended last; zero for never.
	LastEnded time.Time
	// Flagged marks a job that was canceled.
	Flagged bool
	// Known is false for a job whose counts are lost.
	Known bool
}

// Ended sums up the users that have ended.
func (c Counts) Ended() int { return c.Succeeded + c.Dead + c.Superseded + c.Canceled }

// Pending returns how many users have not ended.
func (j JobRecord) Pending() int { return max(0, j.Accepted-j.Counts.Ended()) }

// Register gives a job its version, and writes it down; wanted is 0 for a new version, else the
// version to have, or the first free one behind it. An attempt before, under the same ID and for
// the same request, of which nothing was marked, has the same version.
func (l *Ledger) Register(ctx context.Context, j JobRecord, text Text, wanted Version, limits JobLimits) (Version, error) {
	meta, err := json.Marshal(j)
	if err != nil {
		return 0, fmt.Errorf("ledger: register: %w", err)
	}
	words, err := json.Marshal(text)
	if err != nil {
		return 0, fmt.Errorf("ledger: register: %w", err)
	}
	if limits.Retention <= 0 {
		limits.Retention = DefaultJobRetention
	}
	if limits.Jobs <= 0 {
		limits.Jobs = DefaultJobsKept
	}
	digest, ends := j.Text, 0
	if digest == "" {
		digest = "-"
	}
	if j.Ends > 0 {
		ends = 1
	}
	putOff := int64(0)
	if j.Due > 0 {
		putOff = max(0, j.Due-j.At) * 1000
	}
	keys := []string{l.versionKey, l.jobsPrefix, l.countsKey, l.jobsPrefix + ":ids", l.jobsPrefix + ":order", l.jobsPrefix + ":lists", l.textsKey()}
	reply, err := registerScript.Run(ctx, l.rdb, keys, j.ID, meta, j.Parts, j.Accepted, int64(wanted), digest, words, putOff,
		limits.Retention.Microseconds(), limits.Jobs, max(limits.Jobs*usersPerJob, leastUsers), ends).StringSlice()
	if err != nil {
		return 0, fmt.Errorf("ledger: register: %w", err)
	}
	if len(reply) != 2 {
		return 0, fmt.Errorf("ledger: register: %w", ErrReply)
	}
	v, err := strconv.ParseInt(reply[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("ledger: register: %w", ErrReply)
	}
	return Version(v), nil
}

// Registered reports whether a job of this version is kept.
func (l *Ledger) Registered(ctx context.Context, v Version) (bool, error) {
	known, err := l.rdb.HExists(ctx, l.jobsPrefix, strconv.FormatInt(int64(v), 10)).Result()
	if err != nil {
		return false, fmt.Errorf("ledger: registered: %w", err)
	}
	return known, nil
}

func (l *Ledger) textsKey() string { return strings.TrimSuffix(l.jobsPrefix, "jobs") + "texts" }

// JobByID returns the last job of this ID, and whether one is kept.
func (l *Ledger) JobByID(ctx context.Context, id string) (JobRecord, bool, error) {
	text, err := l.rdb.HGet(ctx, l.jobsPrefix+":ids", id).Result()
	if errors.Is(err, redis.Nil) {
		return JobRecord{}, false, nil
	}
	if err != nil {
		return JobRecord{}, false, fmt.Errorf("ledger: job: %w", err)
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return JobRecord{}, false, fmt.Errorf("ledger: job: %w", ErrReply)
	}
	jobs, err := l.JobsOf(ctx, []Version{Version(v)})
	if err != nil || len(jobs) == 0 {
		return JobRecord{}, false, err
	}
	return jobs[Version(v)], true, nil
}

// JobVersions returns the versions of jobs, those accepted last first: limit of them, after skipping some.
func (l *Ledger) JobVersions(ctx context.Context, skip, limit int) ([]Version, error) {
	members, err := l.rdb.ZRevRange(ctx, l.jobsPrefix+":order", int64(skip), int64(skip+limit-1)).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: jobs: %w", err)
	}
	versions := make([]Version, 0, len(members))
	for _, m := range members {
		if v, err := strconv.ParseInt(m, 10, 64); err == nil {
			versions = append(versions, Version(v))
		}
	}
	return versions, nil
}

// JobsOf returns the jobs of these versions, with their counts and texts; those that are not kept are left
// out. It takes at most MaxBatch versions.
func (l *Ledger) JobsOf(ctx context.Context, versions []Version) (map[Version]JobRecord, error) {
	if len(versions) == 0 {
		return nil, nil
	}
	if err := checkBatch(len(versions)); err != nil {
		return nil, fmt.Errorf("ledger: jobs: %w", err)
	}
	fields := make([]string, len(versions))
	for i, v := range versions {
		fields[i] = strconv.FormatInt(int64(v), 10)
	}
	pipe := l.rdb.Pipeline()
	metas, counts := pipe.HMGet(ctx, l.jobsPrefix, fields...), pipe.HMGet(ctx, l.countsKey, fields...)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("ledger: jobs: %w", err)
	}
	jobs := make(map[Version]JobRecord, len(versions))
	var digests []string
	for i, v := range versions {
		meta, ok := metas.Val()[i].(string)
		if !ok {
			continue
		}
		j := JobRecord{Version: v}
		if json.Unmarshal([]byte(meta), &j) != nil {
			continue // another program's
		}
		if line, ok := counts.Val()[i].(string); ok {
			j.Counts = parseCounts(line)
		}
		if j.Text != "" {
			digests = append(digests, j.Text)
		}
		jobs[v] = j
	}
	texts, err := l.Texts(ctx, digests)
	if err != nil {
		return nil, err
	}
	for v, j := range jobs {
		j.By = texts[j.Text]
		jobs[v] = j
	}
	return jobs, nil
}

// Texts returns the texts of digests; those that are not kept are left out.
func (l *Ledger) Texts(ctx context.Context, digests []string) (map[string]Text, error) {
	texts := make(map[string]Text)
	var fields []string
	for _, d := range digests {
		if _, again := texts[d]; d != "" && !again {
			texts[d] = Text{}
			fields = append(fields, d)
		}
	}
	if len(fields) == 0 {
		return texts, nil
	}
	found, err := l.rdb.HMGet(ctx, l.textsKey(), fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: texts: %w", err)
	}
	for i, d := range fields {
		var t Text
		if text, ok := found[i].(string); ok && json.Unmarshal([]byte(text), &t) == nil {
			texts[d] = t
		}
	}
	return texts, nil
}

// parseCounts reads a line, as lua/counts.lua describes it.
func parseCounts(line string) Counts {
	w := strings.Fields(line)
	if len(w) < 7 {
		return Counts{}
	}
	var n [5]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(w[i], 10, 64); err != nil || n[i] < 0 {
			return Counts{}
		}
	}
	c := Counts{Succeeded: int(n[0]), Dead: int(n[1]), Superseded: int(n[2]), Canceled: int(n[3]), Flagged: w[5] == "c", Known: true}
	if n[4] > 0 {
		c.LastEnded = time.UnixMilli(n[4])
	}
	for _, pair := range w[7:] {
		code, count, _ := strings.Cut(pair, "=")
		k, err1 := strconv.Atoi(code)
		v, err2 := strconv.Atoi(count)
		if err1 == nil && err2 == nil && v > 0 {
			if c.Codes == nil {
				c.Codes = make(map[int]int)
			}
			c.Codes[k] = v
		}
	}
	return c
}

// PutList keeps the users of a job's part, from 1, in a form that is the caller's.
func (l *Ledger) PutList(ctx context.Context, v Version, part int, list []byte) error {
	if err := l.rdb.HSet(ctx, l.jobsPrefix+":lists", listField(v, part), list).Err(); err != nil {
		return fmt.Errorf("ledger: put list: %w", err)
	}
	return nil
}

// List returns what was put of a job's part, nil for nothing.
func (l *Ledger) List(ctx context.Context, v Version, part int) ([]byte, error) {
	b, err := l.rdb.HGet(ctx, l.jobsPrefix+":lists", listField(v, part)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: list: %w", err)
	}
	return b, nil
}

func listField(v Version, part int) string {
	return strconv.FormatInt(int64(v), 10) + ":" + strconv.Itoa(part)
}
