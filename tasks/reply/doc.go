// Package reply has the JSON objects that the commands and the HTTP API answer with, each made
// from what the packages below tasks return. Scripts rely on them: fields may be added, none may be
// renamed. Users stand in them in clear, since an answer goes to who asked.
package reply
