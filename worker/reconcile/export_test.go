package reconcile

import "context"

// Look enqueues once what is due.
func (s *Scheduler) Look(ctx context.Context) error {
	for _, t := range s.targets {
		if _, err := s.tick(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
