package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
)

// NewClient returns a client of the API as configured.
func NewClient(cfg *config.Config, token *secret.Source) (*client.Client, error) {
	appSecret, err := cfg.AppSecretSource()
	if err != nil {
		return nil, &ConfigError{err}
	}
	return newClient(cfg, token, appSecret)
}

func newClient(cfg *config.Config, token, appSecret *secret.Source, more ...client.Option) (*client.Client, error) {
	opts := append(more, client.WithTimeout(cfg.RequestTimeout))
	if appSecret != nil {
		opts = append(opts, client.WithAppSecret(appSecret))
	}
	c, err := client.New(cfg.GraphURL, cfg.GraphVersion, token, opts...)
	if err != nil {
		return nil, fmt.Errorf("API client: %w", err)
	}
	return c, nil
}

// Advice returns what to do about an error of the API where no dead letter came of it, "" when
// there is nothing to do.
func Advice(err error) string {
	if errors.Is(err, context.Canceled) {
		return ""
	}
	return strings.NewReplacer("redrive", "try again", "Redrive", "Try again").Replace(client.Classify(err).Help)
}

// ceilings returns the configured rate limits of the phone number IDs, and of all others.
func ceilings(cfg *config.Config) (byID map[string]ratelimit.Settings, others ratelimit.Settings) {
	byID = map[string]ratelimit.Settings{}
	for _, p := range cfg.PhoneNumbers {
		byID[p.ID] = ratelimit.Settings{Rate: p.Rate, Burst: p.Burst, MaxUsers: p.MaxUsersPerCall}
	}
	return byID, ratelimit.Settings{Rate: cfg.Rate, Burst: cfg.Burst, MaxUsers: cfg.MaxUsersPerCall}
}

// NewLimiter returns the rate limit that all workers share, with the ceilings configured.
func NewLimiter(cfg *config.Config, rdb redis.UniversalClient) *redislimit.Limiter {
	byID, others := ceilings(cfg)
	return redislimit.New(rdb, func(id string) ratelimit.Settings {
		if s, ok := byID[id]; ok {
			return s
		}
		return others
	})
}
