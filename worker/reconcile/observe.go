package reconcile

// Metrics is told what runs do. It must be safe for concurrent use, and quick.
type Metrics interface {
	// Reconciled is told of each run that ended in this process.
	Reconciled(r Record)
	// LastRun is told what the last run and the last good one were, in whatever process; the
	// zero Record for none.
	LastRun(phoneNumberID string, last, good Record)
	// Kept is told of each housekeeping: users enqueued again, and users forgotten.
	Kept(phoneNumberID string, requeued, forgotten int)
}

type noMetrics struct{}

func (noMetrics) Reconciled(Record)              {}
func (noMetrics) LastRun(string, Record, Record) {}
func (noMetrics) Kept(string, int, int)          {}
