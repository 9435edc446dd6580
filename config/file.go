package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFileSize bounds the YAML file.
const maxFileSize = 1 << 20

// file is the YAML file as it was written: texts and the lines they stand on. What they mean is
// for the table of settings to say.
type file struct {
	path         string
	values       map[string]value
	phoneNumbers []item
	hasSecret    bool
}

type value struct {
	text string
	line int
}

// item is one entry of phone_numbers, or the reconcile of one.
type item struct {
	values    map[string]value
	line      int
	reconcile *item
}

const (
	phoneNumbersKey = "phone_numbers"
	reconcileKey    = "reconcile"
)

// phoneNumberKeys and reconcileKeys are what the contract knows.
func phoneNumberKeys() []string {
	return []string{"id", "access_token_file", "access_token_env", "display_phone_number", "rate", "burst", "max_users_per_call", reconcileKey}
}

func reconcileKeys() []string { return []string{"schedule", "source", "mode", "max_changes"} }

func (f *file) origin(line int) string { return fmt.Sprintf("line %d of %s", line, f.path) }

// readFile never returns nil. Its errors hold no text of the file but the names of keys.
func readFile(path string) (*file, []error) {
	f := &file{path: path, values: map[string]value{}}
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

func (f *file) parse(text []byte) []error {
	text = bytes.TrimPrefix(text, []byte("\uFEFF")) // some editors begin a file with a mark
	doc, err := parser.ParseBytes(text, 0)
	if err != nil {
		return []error{f.syntaxError(err)}
	}
	if len(doc.Docs) > 1 {
		return []error{fmt.Errorf("config: %s has %d YAML documents: give one", f.path, len(doc.Docs))}
	}
	if len(doc.Docs) == 0 || doc.Docs[0].Body == nil || doc.Docs[0].Body.Type() == ast.NullType {
		return nil
	}
	return f.top(doc.Docs[0].Body)
}

// syntaxError says where, not what: the library's message repeats the file's text.
func (f *file) syntaxError(err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil && e.GetToken().Position != nil {
		if strings.Contains(e.GetMessage(), "already defined") {
			return fmt.Errorf("config: %s has a key twice: leave one out", f.origin(e.GetToken().Position.Line))
		}
		return fmt.Errorf("config: %s is no valid YAML: look at indentation, colons and quotation marks there", f.origin(e.GetToken().Position.Line))
	}
	return fmt.Errorf("config: %s is no valid YAML", f.path)
}

func (f *file) top(body ast.Node) (errs []error) {
	var known []string
	secrets := map[string]bool{}
	for _, s := range Settings() {
		known = append(known, s.Key())
		secrets[s.Key()] = s.Secret
	}
	top, errs := f.mapping(body, "the file", append(known, phoneNumbersKey), phoneNumbersKey)
	f.values = top.values
	for key := range top.values {
		f.hasSecret = f.hasSecret || secrets[key] || key == "redis_url" && strings.Contains(top.values[key].text, "@")
	}
	list, ok := top.nested[phoneNumbersKey]
	if !ok {
		return errs
	}
	seq, ok := list.(*ast.SequenceNode)
	if !ok {
		return append(errs, fmt.Errorf("config: %s must be a list of phone numbers (%s)", phoneNumbersKey, f.origin(lineOf(list))))
	}
	for i, n := range seq.Values {
		it, more := f.phoneNumber(n, fmt.Sprintf("%s[%d]", phoneNumbersKey, i))
		f.phoneNumbers, errs = append(f.phoneNumbers, it), append(errs, more...)
	}
	return errs
}

func (f *file) phoneNumber(n ast.Node, at string) (item, []error) {
	m, errs := f.mapping(n, at, phoneNumberKeys(), reconcileKey)
	it := item{values: m.values, line: m.line}
	if r, ok := m.nested[reconcileKey]; ok {
		inner, more := f.mapping(r, at+"."+reconcileKey, reconcileKeys(), "")
		it.reconcile = &item{values: inner.values, line: inner.line}
		errs = append(errs, more...)
	}
	return it, errs
}

// mapping is a YAML mapping: its plain values, and under nested the one that may be more.
type mapping struct {
	values map[string]value
	nested map[string]ast.Node
	line   int
}

// mapping reads a mapping with known keys, of which nested may hold more than a plain value.
func (f *file) mapping(n ast.Node, at string, known []string, nested string) (mapping, []error) {
	m := mapping{values: map[string]value{}, nested: map[string]ast.Node{}, line: lineOf(n)}
	node, ok := n.(ast.MapNode)
	if !ok {
		return m, []error{fmt.Errorf("config: %s must have keys and values (%s)", at, f.origin(m.line))}
	}
	var errs []error
	for it := node.MapRange(); it.Next(); {
		key, line := keyText(it.Key()), lineOf(it.Key())
		switch v := it.Value(); {
		case !slices.Contains(known, key):
			errs = append(errs, f.unknownKey(key, line, known))
		case v == nil || v.Type() == ast.NullType:
			// A key without a value says nothing.
		case key == nested:
			m.nested[key] = v
		default:
			text, ok := plainText(v)
			if !ok {
				errs = append(errs, fmt.Errorf("config: %s must be a plain value (%s)", key, f.origin(line)))
				continue
			}
			m.values[key] = value{text, line}
		}
	}
	return m, errs
}

var keyForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,40}$`)

// unknownKey repeats a key that could be a setting's, and nothing that could be a secret.
func (f *file) unknownKey(key string, line int, known []string) error {
	shown := "a key"
	if keyForm.MatchString(key) {
		shown = key
	}
	slices.Sort(known)
	return fmt.Errorf("config: %s is unknown (%s); known are %s", shown, f.origin(line), strings.Join(known, ", "))
}

func keyText(k ast.MapKeyNode) string {
	if t := k.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// plainText returns a value as it was written, so that IDs keep all their digits.
func plainText(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.LiteralNode:
		return strings.TrimSpace(v.Value.Value), true
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return strings.TrimSpace(n.GetToken().Value), true
	}
	return "", false
}
