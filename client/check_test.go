package client_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		help   string
	}{
		"token expired":     {401, `{"error":{"code":190,"error_subcode":463,"message":"expired"}}`, "Renew the access token"},
		"token missing":     {401, `{"error":{"code":104}}`, "Renew the access token"},
		"no such ID":        {400, `{"error":{"code":100,"error_subcode":33}}`, "No such phone number ID"},
		"ID deleted":        {400, `{"error":{"code":33}}`, "phone number ID was deleted"},
		"no permission":     {403, `{"error":{"code":200}}`, "whatsapp_business_management"},
		"not the API":       {200, `<html>`, "WABLOCK_GRAPH_URL"},
		"a page with 403":   {403, `<html>`, "a proxy answered"},
		"something foreign": {400, `{"error":{"code":7777}}`, "Look it up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newClient(t, reply(tt.status, tt.body)).Check(t.Context(), phoneNumberID)
			if err == nil || !strings.Contains(err.Error(), tt.help) {
				t.Fatalf("got %v", err)
			}
		})
	}
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.RawQuery != "limit=1" {
			t.Errorf("sent %s %s", r.Method, r.URL)
		}
		_, _ = w.Write([]byte(refPage))
	})
	if err := c.Check(t.Context(), phoneNumberID); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	source := secret.Static(secret.New(token))
	for name, tt := range map[string]struct {
		url, version string
		token        *secret.Source
		opt          client.Option
		want         string
	}{
		"no URL":        {"", "v25.0", source, nil, "Graph URL"},
		"no scheme":     {"graph.facebook.com", "v25.0", source, nil, "Graph URL"},
		"other scheme":  {"ftp://graph.facebook.com", "v25.0", source, nil, "Graph URL"},
		"broken URL":    {"https://[::1", "v25.0", source, nil, "Graph URL"},
		"password":      {"https://me:" + token + "@graph.facebook.com", "v25.0", source, nil, "no user"},
		"query":         {"https://graph.facebook.com?x=1", "v25.0", source, nil, "query"},
		"no version":    {"https://graph.facebook.com", "", source, nil, "v25.0"},
		"other version": {"https://graph.facebook.com", "25", source, nil, "v25.0"},
		"path":          {"https://graph.facebook.com", "v25.0/me", source, nil, "v25.0"},
		"no token":      {"https://graph.facebook.com", "v25.0", nil, nil, "access token"},
		"no timeout":    {"https://graph.facebook.com", "v25.0", source, client.WithTimeout(0), "timeout"},
		"no transport":  {"https://graph.facebook.com", "v25.0", source, client.WithTransport(nil), "transport"},
		"no logger":     {"https://graph.facebook.com", "v25.0", source, client.WithLogger((*slog.Logger)(nil)), "logger"},
		"no app secret": {"https://graph.facebook.com", "v25.0", source, client.WithAppSecret(nil), "app secret"},
		"no agent":      {"https://graph.facebook.com", "v25.0", source, client.WithUserAgent(""), "user agent"},
		"broken agent":  {"https://graph.facebook.com", "v25.0", source, client.WithUserAgent("a\r\nb"), "user agent"},
	} {
		var opts []client.Option
		if tt.opt != nil {
			opts = append(opts, tt.opt)
		}
		_, err := client.New(tt.url, tt.version, tt.token, opts...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
