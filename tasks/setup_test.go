package tasks_test

import (
	"testing"

	"github.com/wablock/wablock/tasks/taskfixture"
)

const phoneNumberID = taskfixture.PhoneNumberID

type fixture = taskfixture.Fixture

var (
	num, nums   = taskfixture.Num, taskfixture.Nums
	setup, each = taskfixture.New, taskfixture.Each
	compareIDs  = taskfixture.CompareIDs
)

func must[T any](v T, err error) func(testing.TB) T { return taskfixture.Must(v, err) }
