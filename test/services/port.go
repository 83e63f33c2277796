//go:build unix

package services

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// The ports handed out lie below the range from which Linux (32768 up) and the
// BSDs (49152 up) take the local ports of outgoing connections. Else a client
// that dials while a server is down could be given that very port, and keep the
// server from coming back.
const (
	firstPort = 12000
	lastPort  = 31999
)

// FreeAddr returns a loopback address that nobody listens on and that nobody
// else is given by this function while this process lives. The port above is free
// as well, because the embedded service takes it for its demonstration.
func FreeAddr() (string, error) {
	for range 100 {
		port := firstPort + 2*rand.IntN((lastPort-firstPort+1)/2)
		reserved, err := reserve(port)
		if err != nil {
			return "", err
		}
		if reserved && vacant(port) && vacant(port+1) {
			return loopback(port), nil
		}
	}
	return "", fmt.Errorf("no free port from %d to %d", firstPort, lastPort)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// reserved are the locks of this process. They stay open until it ends: closing
// one would unlock it.
var reserved sync.Map

// reserve keeps a port from the tests of other processes, which run beside this
// one, and from whoever asks next: by a lock that ends with the process. It
// reports false when another has it.
func reserve(port int) (bool, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("usersync-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("reserve port %d: %w", port, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, fmt.Errorf("reserve port %d: %w", port, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return false, lock.Close()
	}
	reserved.Store(port, lock)
	return true, nil
}

func vacant(port int) bool {
	l, err := net.Listen("tcp4", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
