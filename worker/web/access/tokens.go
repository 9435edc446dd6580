package access

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Scope grades what a caller may do; each includes those before it.
type Scope int

// The scopes: to see everything, users' numbers in answers included; to request blocks and
// unblocks as well; and to stop calls and drop dead letters.
const (
	Read Scope = iota + 1
	Write
	Admin
)

var scopes = map[string]Scope{"read": Read, "write": Write, "admin": Admin} //nolint:gochecknoglobals // never changes

// String returns the scope as the file of tokens has it.
func (s Scope) String() string {
	for name, scope := range scopes {
		if scope == s {
			return name
		}
	}
	return "none"
}

// Caller names the sender of a request.
type Caller struct {
	Name  string
	Scope Scope
}

// digest is the hash of a token: all have one length, so comparing them reveals nothing of a
// token's.
type digest [sha256.Size]byte

// named is one line of the file.
type named struct {
	caller Caller
	digest digest
}

// maxTokens bounds the lines of the file: each request is compared with all.
const maxTokens = 1000

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`)

// parse reads lines of NAME read|write|admin TOKEN. Its error names a line, and never shows one.
func parse(text string, shortest int) ([]named, error) {
	var all []named
	names, digests := map[string]int{}, map[digest]int{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		n, err := parseLine(line, shortest)
		if err != nil {
			return nil, fmt.Errorf("line %d %w", i+1, err)
		}
		if at := names[n.caller.Name]; at > 0 {
			return nil, fmt.Errorf("line %d has the name of line %d: give each token a name of its own", i+1, at)
		}
		if at := digests[n.digest]; at > 0 {
			return nil, fmt.Errorf("line %d has the token of line %d: a token has one name", i+1, at)
		}
		names[n.caller.Name], digests[n.digest] = i+1, i+1
		if all = append(all, n); len(all) > maxTokens {
			return nil, fmt.Errorf("line %d: more than %d tokens", i+1, maxTokens)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("it has no token: write lines of NAME read|write|admin TOKEN")
	}
	return all, nil
}

func parseLine(line string, shortest int) (named, error) {
	words := strings.Fields(line)
	if len(words) != 3 {
		return named{}, fmt.Errorf("has %d words: write NAME read|write|admin TOKEN", len(words))
	}
	scope, token := scopes[words[1]], words[2]
	switch {
	case !nameForm.MatchString(words[0]):
		return named{}, errors.New("has a name that is not 1 to 64 letters, digits and . _ @ + -")
	case scope == 0:
		return named{}, errors.New("has a scope that is none of read, write and admin")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return named{}, errors.New("has a token with a character that no HTTP header carries")
	case len(token) < shortest:
		return named{}, fmt.Errorf("has a token that can be guessed: give it at least %d characters", shortest)
	}
	return named{Caller{words[0], scope}, sha256.Sum256([]byte(token))}, nil
}
