package app

import (
	"context"
	"errors"
	"fmt"
	"os"
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
// there is nothing to do. It names the place that token came from.
func Advice(err error, token config.Credential) string {
	return advise(err, client.Classify(err).Help, token)
}

// advise is Advice, given the general help with the error.
func advise(err error, help string, token config.Credential) string {
	if errors.Is(err, context.Canceled) {
		return ""
	}
	if strings.Contains(err.Error(), "WhatsAppBusinessAccount") {
		return "This is the ID of a WhatsApp Business account (WABA). Use the phone number ID, which stands beside the number in WhatsApp Manager and in the app's API setup."
	}
	help = strings.NewReplacer("redrive", "try again", "Redrive", "Try again").Replace(help)
	const file = "WABLOCK_ACCESS_TOKEN_FILE: the file is read again by itself"
	switch {
	case token.Path() != "":
		machine, _ := os.Hostname() // "" is as good as any other name
		return strings.Replace(help, file, fmt.Sprintf("%s on %s: the file is read again by itself", token.Path(), machine), 1)
	case !token.IsZero():
		return strings.Replace(help, file, token.Name()+", and restart what uses it", 1)
	}
	return help
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
