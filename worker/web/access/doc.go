// Package access decides who may use the worker's HTTP address, and for what: named tokens, each
// of a scope, and without any token the programs of this machine.
//
// The name of a token is who asked, wherever that is noted; a request can't claim another. Tokens
// are compared in constant time. The file of named tokens is read again when it changes, and a
// change that can't be used leaves the tokens as they were.
//
//	control, err := access.Open(access.Config{Token: token, File: "/etc/wablock/http_tokens"})
//	caller, err := control.Admit(r)
//	if err == nil {
//		err = control.Allow(caller, access.Write)
//	}
//
// Files: tokens.go reads the file, access.go admits.
package access
