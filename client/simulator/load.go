package simulator

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
)

// maxScenario bounds a scenario file: room for a full list of 64,000 users and more.
const maxScenario = 8 << 20

// LoadScenario reads a scenario from a YAML or JSON file. Unknown and repeated fields are
// refused, and so is a scenario that makes no sense.
func LoadScenario(path string) (Scenario, error) {
	f, err := os.Open(path) //nolint:gosec // the caller names the file
	if err != nil {
		return Scenario{}, fmt.Errorf("simulator: open scenario: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxScenario+1))
	if err != nil {
		return Scenario{}, fmt.Errorf("simulator: read scenario: %w", err)
	}
	sc, err := ParseScenario(text)
	if err != nil {
		return Scenario{}, fmt.Errorf("%w (in %s)", err, path)
	}
	return sc, nil
}

// ParseScenario reads a scenario from YAML or JSON; an empty text is the zero Scenario.
func ParseScenario(text []byte) (Scenario, error) {
	if len(text) > maxScenario {
		return Scenario{}, fmt.Errorf("simulator: the scenario is larger than %d MiB", maxScenario>>20)
	}
	var sc Scenario
	text = bytes.TrimSpace(text)
	var err error
	switch {
	case len(text) == 0:
	case text[0] == '{': // YAML would read JSON too, but not its tabs
		err = decodeStrictly(text, &sc)
	default:
		err = yaml.UnmarshalWithOptions(text, &sc, yaml.Strict())
	}
	if err != nil {
		return Scenario{}, fmt.Errorf("simulator: read scenario: %w", err)
	}
	return sc, sc.withDefaults().validate()
}
