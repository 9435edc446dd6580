package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// apiError is an error at the top of an answer.
type apiError struct {
	Status, Code, Subcode int
	Type                  string // empty: OAuthException
	Message, Details      string
	Transient             bool
}

// newAPIError is the usual error of a code; details, if not empty, replace the usual ones.
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

// badRequest is error 100, whose details say what was wrong.
func badRequest(format string, args ...any) *apiError {
	return newAPIError(codeParameter, fmt.Sprintf(format, args...))
}

// notFound is error 100 of a path or object that is not there.
func notFound(details string) *apiError {
	e := newAPIError(codeParameter, details)
	e.Status, e.Type, e.Subcode = http.StatusNotFound, "GraphMethodException", 33
	return e
}

// apiError is the error that the fault gives.
func (f *Fault) apiError() *apiError {
	e := newAPIError(f.Code, f.Details)
	e.Status, e.Subcode = f.Status, f.Subcode
	if f.Message != "" {
		e.Message = f.Message
	}
	e.Transient = e.Transient || f.Transient
	return e
}

// wireError is how an error looks in JSON.
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

// appendTo appends the error object.
func (e *apiError) appendTo(b []byte, a Answers, trace string) []byte {
	kind := e.Type
	def(&kind, "OAuthException")
	wire := wireError{
		Message: e.Message, Type: kind, Code: e.Code, Subcode: e.Subcode,
		Transient: e.Transient, FBTraceID: trace,
		Data: &wireErrorData{Details: e.Details},
	}
	if e.Code != codeSomeFailed && e.Code != codeListChanged { // as Meta's pages print these two
		wire.Data.Product = "whatsapp"
	}
	if a.StringCodes {
		wire.Code = fmt.Sprint(e.Code)
	}
	text, err := json.Marshal(wire)
	if err != nil { // strings and numbers always marshal
		return append(b, "{}"...)
	}
	return append(b, text...)
}

// body is a whole answer that holds nothing but the error.
func (e *apiError) body(a Answers, trace string) []byte {
	b := []byte(`{`)
	if e.Code == codeListChanged {
		b = append(b, `"messaging_product":"whatsapp",`...)
	}
	b = append(b, `"error":`...)
	b = e.appendTo(b, a, trace)
	return append(b, '}')
}
