package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
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

// newWebhooks returns what answers Meta's webhooks, which are off where base is nil.
func newWebhooks(base *webhook.Config, cfg *config.Config, rdb redis.UniversalClient, m webhook.Metrics, log *slog.Logger) (http.Handler, error) {
	if base == nil {
		return webhook.Off(), nil
	}
	producer, err := NewProducer(cfg, rdb, "", log)
	if err != nil {
		return nil, err
	}
	configured := map[string]bool{}
	for _, n := range cfg.PhoneNumbers {
		configured[n.ID] = true
	}
	c := *base
	c.Metrics = m
	c.Serves = func(ctx context.Context, id string) (bool, error) {
		if configured[id] {
			return true, nil
		}
		return asked(ctx, rdb, id)
	}
	c.Consumers = []webhook.Consumer{webhook.Learn(producer, log), webhook.Heard(producer, log)}
	return webhook.New(c)
}

// asked reports whether users were asked for on a phone number ID.
func asked(ctx context.Context, rdb redis.UniversalClient, id string) (bool, error) {
	if queues.CheckPhoneNumberID(id) != nil {
		return false, nil
	}
	n, err := rdb.Exists(ctx, ledger.UsersKey(id)).Result()
	if err != nil {
		return false, fmt.Errorf("look for a phone number ID: %w", err)
	}
	return n > 0, nil
}
