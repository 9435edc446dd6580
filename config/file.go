package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// maxFileSize bounds the YAML file.
const maxFileSize = 1 << 20

// yamlFile is the YAML file as it was written: texts and the lines they stand on. Their meaning is in
// the table of settings.
type yamlFile struct {
	path         string
	values       map[string]value
	phoneNumbers []item
	hasSecret    bool
}

// item is one entry of phone_numbers.
type item struct {
	ID              value          `yaml:"id"`
	AccessTokenFile value          `yaml:"access_token_file"`
	AccessTokenEnv  value          `yaml:"access_token_env"`
	Display         value          `yaml:"display_phone_number"`
	Rate            value          `yaml:"rate"`
	Burst           value          `yaml:"burst"`
	MaxUsersPerCall value          `yaml:"max_users_per_call"`
	Reconcile       *reconcileItem `yaml:"reconcile"`
}

type reconcileItem struct {
	Schedule   value `yaml:"schedule"`
	Source     value `yaml:"source"`
	Mode       value `yaml:"mode"`
	MaxChanges value `yaml:"max_changes"`
	Column     value `yaml:"column"`
}

const (
	phoneNumbersKey = "phone_numbers"
	itemKeys        = "a phone number has id, access_token_file, access_token_env, display_phone_number, rate, burst, max_users_per_call and reconcile, which has schedule, source, mode, max_changes and column"
)

// node is a value that is read later, by its key.
type node struct{ value ast.Node }

// UnmarshalYAML keeps the node.
func (k *node) UnmarshalYAML(n ast.Node) error {
	k.value = n
	return nil
}

func (f *yamlFile) origin(line int) string { return fmt.Sprintf("line %d of %s", line, f.path) }

// readFile never returns nil. Its errors hold no text of the file but the names of keys.
func readFile(path string) (*yamlFile, []error) {
	f := &yamlFile{path: path, values: map[string]value{}}
	if path == "" {
		return f, nil
	}
	text, err := readBounded(path)
	if err != nil {
		return f, []error{fmt.Errorf("config: --config: %w", err)}
	}
	return f, f.parse(text)
}

func readBounded(path string) ([]byte, error) {
	r, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	text, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileSize {
		return nil, fmt.Errorf("%s is larger than 1 MiB: is it the right file?", path)
	}
	return text, nil
}

func (f *yamlFile) parse(text []byte) (errs []error) {
	defer func() {
		if recover() != nil { // the library falls over tags without a value
			errs = []error{f.wrong(nil)}
		}
	}()
	text = bytes.TrimPrefix(text, []byte("\uFEFF")) // some editors begin a file with a mark
	documents := yaml.NewDecoder(bytes.NewReader(text))
	var top, more map[string]node
	if err := documents.Decode(&top); err != nil && !errors.Is(err, io.EOF) {
		return []error{f.wrong(err)}
	}
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		return []error{fmt.Errorf("config: %s has several YAML documents: give one", f.path)}
	}
	known := []string{phoneNumbersKey}
	secrets := map[string]bool{}
	for _, s := range Settings() {
		known = append(known, s.Key())
		secrets[s.Key()] = s.Secret
	}
	slices.Sort(known)
	byLine := func(a, b string) int { return cmp.Or(lineOf(top[a].value)-lineOf(top[b].value), strings.Compare(a, b)) }
	for _, key := range slices.SortedFunc(maps.Keys(top), byLine) {
		var v value
		switch n := top[key].value; {
		case !slices.Contains(known, key):
			errs = append(errs, f.unknown(key, lineOf(n), "known are "+strings.Join(known, ", ")))
		case n == nil || n.Type() == ast.NullType:
		case key == phoneNumbersKey:
			if err := yaml.NodeToValue(n, &f.phoneNumbers, yaml.Strict()); err != nil {
				errs = append(errs, f.wrong(err))
			}
		default:
			if err := v.UnmarshalYAML(n); err != nil {
				errs = append(errs, fmt.Errorf("config: %s must be a plain value (%s)", key, f.origin(lineOf(n))))
				continue
			}
			f.values[key] = v
			f.hasSecret = f.hasSecret || secrets[key] || key == "redis_url" && strings.Contains(v.text, "@")
		}
	}
	return errs
}

// wrong names the place and the kind of a mistake, but not what stands there: the library's
// message repeats the file's text.
func (f *yamlFile) wrong(err error) error {
	at := f.path
	e, ok := errors.AsType[yaml.Error](err)
	if ok && e.GetToken() != nil && e.GetToken().Position != nil {
		at = f.origin(e.GetToken().Position.Line)
	}
	if unknown, ok := errors.AsType[*yaml.UnknownFieldError](err); ok {
		return f.unknown(unknown.Token.Value, unknown.Token.Position.Line, itemKeys)
	}
	if plain, ok := errors.AsType[notPlain](err); ok {
		return fmt.Errorf("config: a value of %s must be a plain value (%s)", phoneNumbersKey, f.origin(plain.line))
	}
	if kind, ok := errors.AsType[*yaml.UnexpectedNodeTypeError](err); ok && kind.Expected == ast.SequenceType {
		return fmt.Errorf("config: %s must be a list of phone numbers (%s)", phoneNumbersKey, at)
	} else if ok && kind.Expected == ast.MappingType {
		return fmt.Errorf("config: the file, and each phone number, must have keys and values (%s)", at)
	}
	if ok && strings.Contains(e.GetMessage(), "already defined") {
		return fmt.Errorf("config: %s has a key twice: leave one out", at)
	}
	return fmt.Errorf("config: %s is not valid YAML: look at indentation, colons and quotation marks there", at)
}

var keyForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,40}$`)

// unknown repeats a key that could be a setting's, and nothing that could be a secret.
func (f *yamlFile) unknown(key string, line int, known string) error {
	shown := "a key"
	if keyForm.MatchString(key) {
		shown = key
	}
	return fmt.Errorf("config: %s is unknown (%s); %s", shown, f.origin(line), known)
}
