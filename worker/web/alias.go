package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
)

// aliases gives names that hold a number (IDs of tasks, names of queues and groups, as others
// may have chosen them) another name to be shown by, and knows the way back. An alias is the
// name encrypted under a key of this process: the same name has the same alias for as long as
// the process lives, nothing is stored, and nobody can make one up.
type aliases struct {
	block cipher.Block
	mac   []byte
}

func newAliases() (*aliases, error) {
	key := make([]byte, 64)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("web: read random bytes: %w", err)
	}
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		return nil, fmt.Errorf("web: set up aliases: %w", err)
	}
	return &aliases{block: block, mac: key[32:]}, nil
}

// aliasPattern is the form of an alias. Its alphabet has no digits, so that no alias reads as a
// number; asynqmon's tables show an ID up to the first dash.
var aliasPattern = regexp.MustCompile(`hidden\.([a-p]{8})-([a-p]{24,})`)

// ownName are the forms of IDs whose digits are no user's: a dead letter's, which starts with
// the phone number ID, and a UUID, alone or as a job's ID with the number of its task.
var ownName = regexp.MustCompile(`^(?:[0-9]{1,32}:[a-p]{32}|` +
	`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?::[0-9]{1,6})?)$`)

// dateInName matches a day, as people put it into the names of jobs.
var dateInName = regexp.MustCompile(`(^|[^0-9])20[0-9]{2}[-.]?(?:0[1-9]|1[0-2])[-.]?(?:0[1-9]|[12][0-9]|3[01])($|[^0-9])`)

// maskName masks an ID or a queue's name.
func maskName(name string) string {
	if ownName.MatchString(name) {
		return name
	}
	if undated := dateInName.ReplaceAllString(name, "${1}date$2"); maskText(undated) == undated {
		return name
	}
	return maskText(name)
}

// of returns name, or its alias when there could be a number in it.
func (a *aliases) of(name string) string {
	if maskName(name) == name {
		return name
	}
	iv := a.iv(name)
	sealed := make([]byte, len(iv)+len(name))
	copy(sealed, iv)
	cipher.NewCTR(a.block, iv).XORKeyStream(sealed[len(iv):], []byte(name))
	letters := make([]byte, 0, 2*len(sealed))
	for _, b := range sealed {
		letters = append(letters, 'a'+b>>4, 'a'+b&15)
	}
	return "hidden." + string(letters[:8]) + "-" + string(letters[8:])
}

// in returns text with each alias in it replaced by its name. It reports false when there is an
// alias of another process, or a name that can't be part of a URL's path.
func (a *aliases) in(text string) (string, bool) {
	ok := true
	text = aliasPattern.ReplaceAllStringFunc(text, func(alias string) string {
		m := aliasPattern.FindStringSubmatch(alias)
		name, known := a.open(m[1] + m[2])
		ok = ok && known && !strings.Contains(name, "/") && name != "." && name != ".."
		return name
	})
	return text, ok
}

func (a *aliases) open(letters string) (string, bool) {
	if len(letters)%2 != 0 {
		return "", false
	}
	sealed := make([]byte, len(letters)/2)
	for i := range sealed {
		sealed[i] = (letters[2*i]-'a')<<4 | (letters[2*i+1] - 'a')
	}
	iv, name := sealed[:aes.BlockSize], sealed[aes.BlockSize:]
	cipher.NewCTR(a.block, iv).XORKeyStream(name, name)
	return string(name), hmac.Equal(iv, a.iv(string(name)))
}

// iv is derived from the name, which makes the alias the same each time and proves it ours.
func (a *aliases) iv(name string) []byte {
	h := hmac.New(sha256.New, a.mac)
	_, _ = h.Write([]byte(name))
	return h.Sum(nil)[:aes.BlockSize]
}
