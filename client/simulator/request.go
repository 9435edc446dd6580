package simulator

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxBody bounds a request: more than 1,000 of the longest user IDs.
const maxBody = 1 << 20

// request holds what a call asks for.
type request struct {
	op            Operation
	phoneNumberID string
	version       string // of the path; empty if it names none
	people        []person
	page          pageRequest
}

// readRequest reads a call as strictly as the documentation allows. What was read before an
// error is returned with it, for the journal.
func readRequest(set *settings, r *http.Request, now time.Time) (request, *apiError) {
	req, fail := route(r)
	if fail != nil {
		return req, fail
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return req, badRequest("The query cannot be read")
	}
	if fail := authorize(set, r, query, now); fail != nil {
		return req, fail
	}
	if fail := knownParameters(req.op, query); fail != nil {
		return req, fail
	}
	if req.op == List {
		req.page, fail = readPage(set, query)
		return req, fail
	}
	req.people, fail = readPeople(set, r)
	return req, fail
}

// route reads /{version}/{phone number ID}/block_users; the version may be left out.
func route(r *http.Request) (request, *apiError) {
	var req request
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if len(parts) == 3 && versionPattern.MatchString(parts[0]) {
		req.version = parts[0]
		parts = parts[1:]
	}
	if len(parts) != 2 || parts[1] != "block_users" {
		return req, notFound("Unknown path: this is a simulator of block_users alone; see /_simulator/")
	}
	if !idPattern.MatchString(parts[0]) {
		return req, notFound("Object with that ID does not exist")
	}
	req.phoneNumberID = parts[0]
	switch r.Method {
	case http.MethodPost:
		req.op = Block
	case http.MethodDelete:
		req.op = Unblock
	case http.MethodGet:
		req.op = List
	default:
		return req, badRequest("Unsupported method")
	}
	return req, nil
}

// authorize checks the token and, if the scenario has an app secret, its proof.
func authorize(set *settings, r *http.Request, query url.Values, now time.Time) *apiError {
	token := query.Get("access_token")
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, rest, _ := strings.Cut(header, " ")
		if strings.EqualFold(scheme, "Bearer") {
			token = strings.TrimSpace(rest)
		}
	}
	if token == "" {
		e := newAPIError(codeNoToken, "Send it as Authorization: Bearer")
		e.Message = "An access token is required to request this resource."
		return e
	}
	if fail := checkToken(set, token, now); fail != nil {
		return fail
	}
	if set.AppSecret == "" {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(set.AppSecret))
	_, _ = mac.Write([]byte(token))
	proof, err := hex.DecodeString(query.Get("appsecret_proof"))
	if err != nil || !hmac.Equal(proof, mac.Sum(nil)) {
		e := badRequest("appsecret_proof must be the hex HMAC-SHA256 of the access token under the app secret")
		e.Type, e.Message = "GraphMethodException", "Invalid appsecret_proof provided in the API argument"
		return e
	}
	return nil
}

func checkToken(set *settings, token string, now time.Time) *apiError {
	if len(set.Tokens) == 0 {
		return nil
	}
	for _, t := range set.Tokens {
		if subtle.ConstantTimeCompare([]byte(t.Token), []byte(token)) == 0 {
			continue
		}
		if t.ExpiresIn == 0 || now.Sub(set.since) < time.Duration(t.ExpiresIn) {
			return nil
		}
		e := newAPIError(codeToken, "The session has expired")
		e.Subcode, e.Message = 463, "Error validating access token: Session has expired"
		return e
	}
	e := newAPIError(codeToken, "")
	e.Message = "Invalid OAuth access token - Cannot parse access token"
	return e
}

// knownParameters refuses query parameters that the endpoint does not have.
func knownParameters(op Operation, query url.Values) *apiError {
	known := []string{"access_token", "appsecret_proof"}
	if op == List {
		known = append(known, "limit", "after", "before")
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			return badRequest("Unknown query parameter: %.40q", name)
		}
		if len(values) > 1 {
			return badRequest("Query parameter %s is given twice", name)
		}
	}
	return nil
}

// blockRequest is the body of a block or unblock call.
type blockRequest struct {
	MessagingProduct string      `json:"messaging_product"`
	BlockUsers       []userEntry `json:"block_users"`
}

type userEntry struct {
	User   string `json:"user"`
	UserID string `json:"user_id"`
}

func readPeople(set *settings, r *http.Request) ([]person, *apiError) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, badRequest("Content-Type must be application/json")
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, badRequest("The body cannot be read")
	}
	if len(raw) > maxBody {
		return nil, badRequest("The body is larger than 1 MiB")
	}
	var body blockRequest
	if err := decodeStrictly(raw, &body); err != nil {
		return nil, badRequest("The body is not the JSON object that is documented")
	}
	if body.MessagingProduct != "whatsapp" {
		return nil, badRequest("Param messaging_product must be whatsapp")
	}
	if body.BlockUsers == nil {
		return nil, badRequest("Param block_users is required")
	}
	return resolveAll(set, body.BlockUsers)
}

// resolveAll refuses the call for an entry that names no user, or names one in a way that is not accepted.
func resolveAll(set *settings, entries []userEntry) ([]person, *apiError) {
	people := make([]person, len(entries))
	for i, e := range entries {
		input := e.User // counts if there is a user_id as well
		switch {
		case isUserID(input): // which belongs into user_id: it is not a number
			people[i] = person{input: input, name: input, key: input, bad: true}
			continue
		case input != "":
		case e.UserID == "":
			return nil, badRequest("Param block_users[%d] has neither user nor user_id", i)
		case set.Blocking.NoUserIDs:
			return nil, badRequest("Param block_users[%d][user_id] is unknown", i)
		case !isUserID(e.UserID):
			return nil, badRequest("Param block_users[%d][user_id] is not a user ID", i)
		case isParentUserID(e.UserID) && !set.Blocking.ParentUserIDs:
			return nil, badRequest("Param block_users[%d][user_id] is a parent user ID", i)
		default:
			input = e.UserID
		}
		people[i] = set.directory.resolve(input)
	}
	return people, nil
}

var errTrailing = errors.New("simulator: something follows the JSON value")

// decodeStrictly decodes one JSON value that has no unknown fields and nothing after it.
func decodeStrictly(raw []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}
