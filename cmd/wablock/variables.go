package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wablock/wablock/config"
)

// foreignPrefixes begin variables that others set on purpose: this tree's tests, Docker Compose,
// and Kubernetes for a service that is called wablock.
var foreignPrefixes = []string{"WABLOCK_TEST_", "WABLOCK_CHAOS_", "WABLOCK_PORT", "WABLOCK_SERVICE_"} //nolint:gochecknoglobals // a constant

// configVariable names the configuration file where --config does not.
const configVariable = "WABLOCK_CONFIG"

// unknownVariables warns of variables that look like settings and are none, such as mistyped ones.
func unknownVariables(env map[string]string, cfg *config.Config) (warnings []string) {
	known := map[string]bool{configVariable: true}
	for _, s := range config.Settings() {
		known[s.Variable] = true
	}
	for _, n := range cfg.PhoneNumbers {
		known[n.Token.Name()] = true // access_token_env
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		foreign := slices.ContainsFunc(foreignPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if strings.HasPrefix(name, "WABLOCK_") && !known[name] && !foreign {
			warnings = append(warnings, fmt.Sprintf("the environment has %s, which is not a setting: is it mistyped? docs/settings.md lists all", name))
		}
	}
	return warnings
}
