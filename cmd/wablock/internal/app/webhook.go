package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/worker/web/webhook"
)

// webhookConfig reads what webhooks are verified with; nil where they are not set up. Its error is a [*ConfigError].
func webhookConfig(cfg *config.Config, log *slog.Logger) (*webhook.Config, error) {
	token, err := cfg.WebhookTokenSource()
	if err != nil {
		return nil, &ConfigError{err}
	}
	secrets, err := cfg.AppSecretSource()
	if err != nil {
		return nil, &ConfigError{err}
	}
	if token == nil || secrets == nil {
		return nil, nil
	}
	return &webhook.Config{Secrets: secrets, VerifyToken: token, Logger: log}, nil
}

// webhooks returns what answers Meta's webhooks.
func (a *App) webhooks(rdb redis.UniversalClient, m webhook.Metrics) (http.Handler, error) {
	if a.webhook == nil {
		return webhook.Off(), nil
	}
	producer, err := tasks.NewProducer(rdb, tasks.ProducerConfig{Jobs: JobLimits(a.cfg), Names: NameLimits(a.cfg), Logger: a.log})
	if err != nil {
		return nil, err
	}
	c := *a.webhook
	c.Metrics = m
	c.Serves = func(ctx context.Context, id string) (bool, error) { return a.serves(ctx, rdb, id) }
	c.Consumers = []webhook.Consumer{webhook.Learn(producer, a.log), webhook.Heard(producer, a.log)}
	return webhook.New(c)
}

// serves reports whether a phone number ID is configured, or users were asked for on it.
func (a *App) serves(ctx context.Context, rdb redis.UniversalClient, id string) (bool, error) {
	if _, configured := a.numbers.byID[id]; configured || queues.CheckPhoneNumberID(id) != nil {
		return configured, nil
	}
	n, err := rdb.Exists(ctx, ledger.UsersKey(id)).Result()
	if err != nil {
		return false, fmt.Errorf("look for a phone number ID: %w", err)
	}
	return n > 0, nil
}
