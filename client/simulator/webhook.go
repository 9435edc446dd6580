package simulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// webhookTimeout bounds the sending of one webhook; Meta's own is not published.
const webhookTimeout = 10 * time.Second

// sendMessage sends the webhook of a text message to a URL, signed with an app secret, as Meta does
// when a user writes. It is sent once: an answer other than 200 is an error.
func sendMessage(ctx context.Context, to, appSecret, phoneNumberID string, p person, at time.Time) error {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("simulator: webhook must be an http or https URL")
	}
	if appSecret == "" {
		return errors.New("simulator: a webhook is signed with the app secret: give the scenario an app_secret")
	}
	body, err := json.Marshal(messageWebhook(phoneNumberID, p, at))
	if err != nil {
		return fmt.Errorf("simulator: webhook: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(string(body)))
	if err != nil {
		return fmt.Errorf("simulator: webhook: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(appSecret))
	_, _ = mac.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	res, err := (&http.Client{}).Do(r)
	if err != nil {
		return fmt.Errorf("simulator: webhook: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("simulator: the webhook was answered with %d", res.StatusCode)
	}
	return nil
}

// object is a JSON object.
type object = map[string]any

// messageWebhook returns the body as Meta's pages have it.
func messageWebhook(phoneNumberID string, p person, at time.Time) object {
	from, contact := object{}, object{"profile": object{"name": "Simulated"}}
	if p.waID != "" {
		from["from"], contact["wa_id"] = p.waID, p.waID
	} else {
		from["from_user_id"], contact["user_id"] = p.name, p.name
	}
	maps.Copy(from, object{
		"id": "wamid.simulated", "timestamp": strconv.FormatInt(at.Unix(), 10), "type": "text", "text": object{"body": "simulated"},
	})
	value := object{
		"messaging_product": "whatsapp",
		"metadata":          object{"display_phone_number": "15550000001", "phone_number_id": phoneNumberID},
		"contacts":          []object{contact},
		"messages":          []object{from},
	}
	return object{"object": "whatsapp_business_account", "entry": []object{{
		"id": "200000000000001", "changes": []object{{"field": "messages", "value": value}},
	}}}
}
