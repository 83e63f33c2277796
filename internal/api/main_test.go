package api_test

import (
	"testing"

	"usersync/internal/api/apitest"
)

func TestMain(m *testing.M) { apitest.Main(m) }
