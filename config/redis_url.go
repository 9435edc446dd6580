package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config/secret"
)

const (
	schemeRedis    = "redis"
	schemeTLS      = "rediss"
	schemeUnix     = "unix"
	schemeSentinel = "redis-sentinel"
	schemeCluster  = "redis-cluster"
)

const (
	redisPort    = "6379"
	sentinelPort = "26379"
	maxCAFile    = 1 << 20
)

// redisURL is a Redis URL in its parts. It is taken apart by hand: net/url refuses several
// hosts, and its errors repeat what they refuse, password included.
type redisURL struct {
	scheme       string
	username     secret.String // a password, if its colon was forgotten
	password     secret.String
	addrs        []string // a path for unix
	db           int
	master       string
	sentinelUser string
	sentinelPass secret.String
	poolSize     int
	tls          *tls.Config
}

func parseRedisURL(s string) (*redisURL, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	u := &redisURL{scheme: scheme}
	if !ok || !slices.Contains([]string{schemeRedis, schemeTLS, schemeUnix, schemeSentinel, schemeCluster}, scheme) {
		return nil, errors.New("it must start with redis://, rediss://, unix://, redis-sentinel:// or redis-cluster://")
	}
	rest, query, _ := strings.Cut(rest, "?")
	if strings.Contains(rest, "#") {
		return nil, errors.New("it holds a #, which a password must write as %23")
	}
	// A password can't hold a bare slash, a path may hold an @.
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	hosts, err := u.userinfo(authority)
	if err != nil {
		return nil, err
	}
	if err := u.place(hosts, path); err != nil {
		return nil, err
	}
	if err := u.options(query); err != nil {
		return nil, err
	}
	return u, u.check()
}

func (u *redisURL) userinfo(authority string) (hosts string, err error) {
	i := strings.LastIndexByte(authority, '@')
	if i < 0 {
		return authority, nil
	}
	name, password, _ := strings.Cut(authority[:i], ":")
	if name, err = url.PathUnescape(name); err == nil {
		password, err = url.PathUnescape(password)
	}
	if err != nil {
		return "", errors.New("a percent sign in user or password must be written as %25")
	}
	u.username, u.password = secret.New(name), secret.New(password)
	return authority[i+1:], nil
}

// place reads hosts and database, or the path of a socket.
func (u *redisURL) place(hosts, path string) error {
	if u.scheme == schemeUnix {
		if hosts != "" || len(path) < 2 {
			return errors.New("unix:// needs an absolute path: unix:///run/redis.sock")
		}
		u.addrs = []string{path}
		return nil
	}
	port := redisPort
	if u.scheme == schemeSentinel {
		port = sentinelPort
	}
	for h := range strings.SplitSeq(hosts, ",") {
		addr, err := hostPort(strings.TrimSpace(h), port)
		if err != nil {
			return err
		}
		u.addrs = append(u.addrs, addr)
	}
	if path = strings.Trim(path, "/"); path != "" {
		return u.setDB(path)
	}
	return nil
}

func (u *redisURL) setDB(s string) (err error) {
	if u.db, err = whole(s, 0, math.MaxUint16); err != nil {
		return errors.New("the database must be a number, as in /0; a slash in a password must be written as %2F")
	}
	return nil
}

func hostPort(s, port string) (string, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if net.ParseIP(bare) != nil { // an IPv6 address without a port has colons of its own
		return net.JoinHostPort(bare, port), nil
	}
	host, isIP := s, false
	if h, p, err := net.SplitHostPort(s); err == nil {
		host, port, isIP = h, p, net.ParseIP(h) != nil
	}
	if !isPort(port, 1) {
		return "", errors.New("a port must be a number from 1 to 65535")
	}
	if !isIP && (host == "" || strings.ContainsAny(host, ":[] ")) {
		return "", errors.New("each server must be host or host:port")
	}
	return net.JoinHostPort(host, port), nil
}

func (u *redisURL) options(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("what follows the ? can't be read; write special characters as %XX")
	}
	caFile, useTLS := "", u.scheme == schemeTLS
	for key, list := range values {
		v := list[len(list)-1]
		err = nil
		switch key {
		case "master":
			u.master = v
		case "db":
			err = u.setDB(v)
		case "ca_file":
			caFile = v
		case "tls":
			useTLS, err = strconv.ParseBool(v)
		case "pool_size":
			u.poolSize, err = whole(v, 1, 10_000)
		case "sentinel_username":
			u.sentinelUser = v
		case "sentinel_password":
			u.sentinelPass = secret.New(v)
		default:
			err = errNotAllowed
		}
		if err != nil {
			return errors.New("after the ? stand master=NAME, db=N, ca_file=F, tls=true, pool_size=N, sentinel_username=U and sentinel_password=P, and nothing else")
		}
	}
	return u.encrypt(useTLS, caFile)
}

func (u *redisURL) encrypt(useTLS bool, caFile string) error {
	if !useTLS {
		if caFile != "" {
			return errors.New("ca_file is for TLS: use rediss://, or add tls=true")
		}
		return nil
	}
	u.tls = &tls.Config{MinVersion: tls.VersionTLS12} // go-redis fills in the name of each server
	if caFile == "" {
		return nil
	}
	pem, err := readCA(caFile)
	if err != nil {
		return err
	}
	u.tls.RootCAs = x509.NewCertPool()
	if !u.tls.RootCAs.AppendCertsFromPEM(pem) {
		return errors.New("the file of ca_file holds no certificate in PEM form")
	}
	return nil
}

func readCA(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err
		}
		return nil, fmt.Errorf("the file of ca_file can't be read: %w", err)
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxCAFile))
}

// check holds the rules between the parts.
func (u *redisURL) check() error {
	switch {
	case u.scheme == schemeSentinel && u.master == "":
		return errors.New("redis-sentinel:// needs the name of the master: ?master=NAME")
	case u.scheme != schemeSentinel && (u.master != "" || u.sentinelUser != "" || !u.sentinelPass.IsZero()):
		return errors.New("master, sentinel_username and sentinel_password are for redis-sentinel://")
	case u.scheme == schemeCluster && u.db != 0:
		return errors.New("a cluster has database 0 alone")
	case len(u.addrs) > 1 && (u.scheme == schemeRedis || u.scheme == schemeTLS):
		return errors.New("several servers need redis-sentinel:// or redis-cluster://")
	case u.tls != nil && (u.scheme == schemeRedis || u.scheme == schemeUnix):
		return errors.New("for TLS use rediss://")
	case u.tls == nil && u.scheme == schemeTLS:
		return errors.New("rediss:// is TLS; without it use redis://")
	}
	return nil
}

func (u *redisURL) apply(o *redis.UniversalOptions) {
	o.Addrs = slices.Clone(u.addrs)
	o.Username, o.Password, o.DB = u.username.Reveal(), u.password.Reveal(), u.db
	o.MasterName = u.master
	o.SentinelUsername, o.SentinelPassword = u.sentinelUser, u.sentinelPass.Reveal()
	o.IsClusterMode = u.scheme == schemeCluster
	if u.poolSize > 0 {
		o.PoolSize = u.poolSize
	}
	if u.tls != nil {
		o.TLSConfig = u.tls.Clone()
	}
}

func (u *redisURL) display() string {
	var b strings.Builder
	b.WriteString(u.scheme + "://")
	if !u.username.IsZero() || !u.password.IsZero() {
		b.WriteString("***@")
	}
	b.WriteString(strings.Join(u.addrs, ","))
	switch u.scheme {
	case schemeCluster:
	case schemeUnix:
		if u.db != 0 {
			b.WriteString("?db=" + strconv.Itoa(u.db))
		}
	default:
		b.WriteString("/" + strconv.Itoa(u.db))
	}
	if u.master != "" {
		b.WriteString("?master=" + url.QueryEscape(u.master))
	}
	return b.String()
}

// harmlessURL matches what has no place for a secret: servers with ports, and a database.
var harmlessURL = regexp.MustCompile(
	`^(?:[a-z][a-z-]{0,20}://)?[a-z0-9.-]{1,40}(?::[0-9]{1,5})?(?:,[a-z0-9.-]{1,40}(?::[0-9]{1,5})?)*(?:/[0-9]{0,5})?$`)

// showRedisURL shows of a wrong URL what can't be a secret: with a password in the wrong place,
// anything after the scheme could be one.
func showRedisURL(s string) string {
	if strings.Contains(s, ":") && harmlessURL.MatchString(s) {
		return s
	}
	scheme, _, ok := strings.Cut(s, "://")
	if !ok || !schemeForm.MatchString(scheme) {
		return hiddenText
	}
	return scheme + "://…"
}

var schemeForm = regexp.MustCompile(`^(?:redis|rediss|unix|redis-sentinel|redis-cluster|https?|tcp)$`)
