package app

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/worker/web/overview"
)

// NewOverview returns the reader of how the system stands, of the configured phone number IDs and those that workers
// call for.
func NewOverview(cfg *config.Config, rdb redis.UniversalClient, version string) *overview.Reader {
	return overview.NewReader(overview.Config{
		Redis: rdb, PhoneNumberIDs: IDsOf(cfg.PhoneNumbers), Version: version,
		Limit: func(ctx context.Context, workers []fleet.Worker, id string) (ratelimit.Snapshot, error) {
			return LimiterOf(cfg, rdb, workers, func(string, ...any) {}).Show(ctx, id)
		},
	})
}
