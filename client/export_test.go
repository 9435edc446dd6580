package client

import (
	"net/http"
	"time"
)

// ReadMeta reads headers that a server could not be made to send.
func ReadMeta(retry, business, app string) Meta {
	return readMeta(http.StatusOK, http.Header{
		"Retry-After":               {retry},
		"X-Business-Use-Case-Usage": {business},
		"X-App-Usage":               {app},
	}, time.Now())
}
