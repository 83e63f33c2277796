package app

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockDir makes sure that only one process uses a data directory.
func lockDir(dir string) (unlock func(), err error) {
	name := filepath.Join(dir, "lock")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator's own data directory
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("another process uses DATA_DIR %s: stop it, or give this one another DATA_DIR", dir)
	}
	return func() { _ = file.Close() }, nil
}
