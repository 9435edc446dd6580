// Package config reads wablock's settings: from flags, the environment and a YAML file, in that
// order of precedence, with defaults behind them. It refuses what it does not know and what it
// cannot take, by name, and never shows a secret while doing so.
//
//	cfg, err := config.Load(config.Input{LookupEnv: os.LookupEnv, File: "wablock.yaml"})
//	if err != nil { … } // one line per wrong setting
//	rdb := cfg.Redis.Client()
//	number, err := cfg.Selected()
//	token, err := number.Token.Source()
//
// [Settings] is the table that everything is read by; documentation is checked against it.
//
// # What needs a secret asks for it
//
// [Load] looks at where secrets are to come from, and refuses contradictions, but reads no file
// of a secret: a command that only enqueues runs without one. [Credential.Source] reads it.
//
// # Redis URLs
//
// redis://, rediss:// (TLS) and unix:// name one server; redis-sentinel://h1:p,h2:p/0?master=NAME
// and redis-cluster://h1:p,h2:p several. User and password stand before the "@", with special
// characters percent-encoded. After a "?" may stand ca_file (a PEM file of certificates to trust
// in place of the system's), tls=true (for sentinel and cluster), db (for unix), pool_size,
// sentinel_username and sentinel_password.
package config
