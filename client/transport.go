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
// The transport sends a block or unblock a second time only when the first time not a byte of
// it, or by HTTP/2's word none of its meaning, was taken by the server.
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
