package client

import (
	"net"
	"net/http"
	"time"
)

// NewTransport returns a transport for many concurrent calls to one host. Connections are
// kept for as many calls as a worker has in flight (the standard library keeps two a host, so
// that bursts would dial anew), and HTTP/2 connections that went silent are found by pings
// before a call has to wait out its timeout. Proxies of the environment are honoured.
//
// The transport repeats a block or unblock only when the server took none of it: not a byte was
// sent, or HTTP/2 says that it was not processed.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConnsPerHost:    128,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// A call of 1,000 users is written in one piece and its answer read in two.
		WriteBufferSize: 32 << 10,
		ReadBufferSize:  32 << 10,
	}
}
