package tasks_test

import (
	"testing"

	"github.com/wablock/wablock/tasks/tasktest"
)

const phoneNumberID = tasktest.PhoneNumberID

type fixture = tasktest.Fixture

var (
	num, nums   = tasktest.Num, tasktest.Nums
	setup, each = tasktest.New, tasktest.Each
	compareIDs  = tasktest.CompareIDs
)

func must[T any](v T, err error) func(testing.TB) T { return tasktest.Must(v, err) }
