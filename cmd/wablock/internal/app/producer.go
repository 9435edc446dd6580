package app

import (
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

// JobLimits returns the bounds of what is kept of jobs.
func JobLimits(cfg *config.Config) ledger.JobLimits {
	return ledger.JobLimits{Retention: cfg.JobRetention, Jobs: cfg.MaxJobs}
}

// NameLimits returns the bounds of what is kept of users' names.
func NameLimits(cfg *config.Config) ledger.NameLimits {
	return ledger.NameLimits{Age: cfg.NameRetention, Names: cfg.MaxNames}
}

// NewProducer returns the producer of a phone number ID, "" where each request names one.
// log, which may be nil, is told what went wrong without harm.
func NewProducer(cfg *config.Config, rdb redis.UniversalClient, phoneNumberID string, log *slog.Logger) (*tasks.Producer, error) {
	return tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID, Jobs: JobLimits(cfg), Names: NameLimits(cfg), Logger: log})
}
