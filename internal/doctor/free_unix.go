//go:build unix

package doctor

import "syscall"

// freeBytes returns how much of the disk that holds a folder is free for this user.
func freeBytes(folder string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil //nolint:gosec // its type differs between systems; never negative
}
