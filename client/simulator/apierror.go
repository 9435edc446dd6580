package simulator

import (
	"fmt"
	"net/http"
	"strconv"
)

// apiError is an error at the top of an answer.
type apiError struct {
	Status, Code, Subcode int
	Type                  string // empty: OAuthException
	Message, Details      string
	Transient             bool
}

// newAPIError returns the usual error of a code; details, if not empty, replace the usual ones.
func newAPIError(code int, details string) *apiError {
	message, usual := codeText(code)
	def(&details, usual)
	return &apiError{
		Status:  statusOf(code),
		Code:    code,
		Message: fmt.Sprintf("(#%d) %s", code, message),
		Details: details,
		// As Meta's samples of these have it.
		Transient: code == 1 || code == 2 || code == codeAppRateLimit,
	}
}

// badRequest returns error 100 with the fault in its details.
func badRequest(format string, args ...any) *apiError {
	return newAPIError(codeParameter, fmt.Sprintf(format, args...))
}

// notFound returns error 100 of a path or object that does not exist.
func notFound(details string) *apiError {
	e := newAPIError(codeParameter, details)
	e.Status, e.Type, e.Subcode = http.StatusNotFound, "GraphMethodException", 33
	return e
}

// wireError is the JSON of an error.
type wireError struct {
	Message   string         `json:"message"`
	Type      string         `json:"type"`
	Code      any            `json:"code"`
	Subcode   int            `json:"error_subcode,omitempty"`
	Transient bool           `json:"is_transient,omitempty"`
	Data      *wireErrorData `json:"error_data,omitempty"`
	FBTraceID string         `json:"fbtrace_id"`
}

type wireErrorData struct {
	Product string `json:"messaging_product,omitempty"`
	Details string `json:"details"`
}

// wire returns the error object of an answer.
func (e *apiError) wire(a Answers, trace string) *wireError {
	kind := e.Type
	def(&kind, "OAuthException")
	w := &wireError{
		Message: e.Message, Type: kind, Code: wireCode(e.Code, a), Subcode: e.Subcode,
		Transient: e.Transient, FBTraceID: trace,
		Data: &wireErrorData{Details: e.Details},
	}
	if e.Code != codeSomeFailed && e.Code != codeListChanged { // as Meta's pages print these two
		w.Data.Product = "whatsapp"
	}
	return w
}

// wireCode returns a code as the answer writes it.
func wireCode(code int, a Answers) any {
	if a.StringCodes {
		return strconv.Itoa(code)
	}
	return code
}

// The error codes that the simulator gives of its own accord.
const (
	codeAppRateLimit     = 4
	codeParameter        = 100
	codeNoToken          = 104
	codeToken            = 190
	codeAccountRateLimit = 80007
	codeRateLimit        = 130429
	codeBadValue         = 131009
	codeOwnNumber        = 131021
	codeReengage         = 131047
	codeSomeFailed       = 139100
	codeListFull         = 139101
	codeListChanged      = 139102
	codeInternal         = 139103
)

// codeText returns the message and details that go with a code.
func codeText(code int) (message, details string) {
	switch code {
	case 1:
		return "An unknown error occurred", "Possibly a temporary issue due to downtime."
	case 2:
		return "Service temporarily unavailable", "Possibly a temporary issue due to downtime."
	case codeAppRateLimit:
		return "Application request limit reached", "The app has reached its API call rate limit."
	case codeParameter:
		return "Invalid parameter", "The request holds a parameter that is not supported or misspelled."
	case codeToken:
		return "Error validating access token", "The access token is not valid."
	case codeAccountRateLimit:
		return "Rate limit issues", "The WhatsApp Business Account has reached its rate limit."
	case codeRateLimit:
		return "Rate limit hit", "Too many numbers in the request, or too many requests in a short time"
	case codeBadValue:
		return "Parameter value is not valid", "A user is not a phone number"
	case codeOwnNumber:
		return "Self block", "Cannot block your own phone number"
	case codeReengage:
		return "Re-engagement required", "User has not messaged in the last 24 hours"
	case codeListFull:
		return "Blocklist limit reached", "The blocklist has reached its limit"
	case codeListChanged:
		return "Blocklist concurrent update", "Blocklist was updated during retrieval - retry with offset 0"
	case codeInternal:
		return "Internal error", "Internal error. Try the request again"
	}
	return "Simulated error " + strconv.Itoa(code), "A fault of the scenario"
}

// statusOf is the HTTP status that usually goes with a code at the top of an answer, as far as
// public samples of the Graph API show; the WhatsApp codes mostly come with 400.
func statusOf(code int) int {
	switch code {
	case 0, codeNoToken, codeToken:
		return http.StatusUnauthorized
	case 10, 368, 131031:
		return http.StatusForbidden
	case 1, 2, 3, 131000:
		return http.StatusInternalServerError
	case 131016, 131057, 133004:
		return http.StatusServiceUnavailable
	case codeAppRateLimit:
		return http.StatusTooManyRequests
	}
	if code >= 200 && code < 300 {
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}
