package source

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
)

// File returns the source of a file of numbers. It is read anew by each run, and refused when
// it changes meanwhile.
func File(path string, o numbers.Options) Source { return file{path, o} }

type file struct {
	path    string
	options numbers.Options
}

func (f file) Name() string { return user.Scrub(f.path) }
func (f file) ID() string   { return idOf("file", f.path) }

func (f file) Read(context.Context) (List, error) {
	list, err := f.read()
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		err = pe.Err // without the path, which the name has
	}
	return whole(f.Name(), list, err)
}

func (f file) read() (List, error) {
	// Opening a pipe would otherwise wait for its writer, out of reach of any context.
	r, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return List{}, err
	}
	defer func() { _ = r.Close() }()
	before, err := r.Stat()
	if err != nil {
		return List{}, err
	}
	if !before.Mode().IsRegular() {
		return List{}, errors.New("not a regular file: a run reads the list twice; put it into a file, or pass it with --file -")
	}
	list, err := readNumbers(r, f.options)
	if err != nil {
		return list, err
	}
	after, err := r.Stat()
	if err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return list, errors.New("the file was written to while it was read: write a new one, and rename it into place")
	}
	return list, nil
}
