package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/wablock/wablock/config/secret"
)

// Credential names the origin of a secret: a value, or a file that may be read again. The
// zero Credential is none. Equal Credentials may share one Source.
type Credential struct {
	value    secret.String
	path     string
	variable string // what the operator set, or would have to set
}

// IsZero reports whether no secret was configured.
func (c Credential) IsZero() bool { return c.value.IsZero() && c.path == "" }

// Path returns the file that holds the secret, "" when there is none.
func (c Credential) Path() string { return c.path }

// Name returns the origin of the secret: the path of its file, or the variable that holds it.
// It stays the same when the secret is rotated.
func (c Credential) Name() string {
	if c.path != "" {
		return c.path
	}
	return c.variable
}

// Account names the account whose limits phone numbers share: those with one token, by where
// it comes from, so that the name stays when the token is rotated.
func (c Credential) Account() string {
	sum := sha256.Sum256([]byte(c.Name()))
	return hex.EncodeToString(sum[:8])
}

// Source returns the secret, having read its file if it has one. Without a secret the error
// wraps [ErrUnset] and names the variables that could hold it.
func (c Credential) Source() (*secret.Source, error) { return c.source(secret.File) }

func (c Credential) source(open func(path string) (*secret.Source, error)) (*secret.Source, error) {
	if c.path == "" && c.value.IsZero() {
		return nil, fmt.Errorf("config: the secret is %w: set %s", ErrUnset, c.variables())
	}
	if c.path == "" {
		return secret.Static(c.value), nil
	}
	s, err := open(c.path)
	if err == nil {
		return s, nil
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w; make the file there, readable by this user", err)
	}
	return nil, fmt.Errorf("config: %s_FILE: %w", c.variable, err)
}

// variables returns the names of the settings that could hold the secret: a variable that only the file names has no
// variant for a file's path.
func (c Credential) variables() string {
	if slices.ContainsFunc(Settings(), func(s Setting) bool { return s.Variable == c.variable+fileSuffix }) {
		return c.variable + " or " + c.variable + fileSuffix
	}
	return c.variable
}

// optional returns nil when there is no secret.
func (c Credential) optional() (*secret.Source, error) {
	if c.IsZero() {
		return nil, nil
	}
	return c.Source()
}

// wide reports whether others may read the file, or change it.
func (c Credential) wide() bool { return openToOthers(c.path) }

// openToOthers allows a group that may only read: that is how Kubernetes mounts secrets for a process that is
// not root, and how service users are given a file of root's.
func openToOthers(path string) bool {
	if path == "" {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o026 != 0
}

var (
	// secretForm matches app secrets (32 hex digits), tokens, and what openssl rand writes.
	secretForm = regexp.MustCompile(`^[A-Za-z0-9+/=_-]{16,}$`)
	// mixed are signs that base64 has and the names of directories seldom have.
	mixed = []*regexp.Regexp{regexp.MustCompile(`[0-9]`), regexp.MustCompile(`[A-Z]`), regexp.MustCompile(`[a-z]`)} //nolint:gochecknoglobals // never changes
)

// maxBareName is longer than file names that have no directory are, and shorter than tokens.
const maxBareName = 48

// looksLikeSecret reports whether a secret stands in the place of its file's name, so that no
// error message shows it. A file that exists, or whose directory does, is not one.
func looksLikeSecret(path string) bool {
	bare := !strings.ContainsAny(path, `/\`)
	if _, err := os.Stat(path); err == nil || !secretForm.MatchString(path) && (!bare || len(path) <= maxBareName) {
		return false
	}
	if bare {
		return true
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil && filepath.Dir(path) != "/" {
		return false
	}
	unlike := func(r *regexp.Regexp) bool { return !r.MatchString(path) }
	return !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "+=") || !slices.ContainsFunc(mixed, unlike)
}

// checkSecret refuses what no HTTP header could carry.
func checkSecret(s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errNotAllowed
	}
	return nil
}

func checkPath(s string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	if looksLikeSecret(s) {
		return errors.New("it looks like a secret, not like the path of a file; if it is a path, write ./ in front")
	}
	return nil
}
