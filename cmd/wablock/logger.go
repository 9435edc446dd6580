package main

import (
	"log/slog"

	"github.com/wablock/wablock/config"
)

// logger returns the log of a long-running command, on stderr.
func (a *app) logger(cfg *config.Config) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	format := cfg.LogFormat
	if format == "" && !a.onTerminal() {
		format = "json"
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(a.err, opts))
	}
	return slog.New(slog.NewTextHandler(a.err, opts))
}
