package api

import "net/netip"

// NetworkOf returns where a call came from, by its RemoteAddr: its address, or of IPv6,
// where one caller has many, the network of 64 bits. It is "" where that cannot be read.
// What headers say of it is not believed.
func NetworkOf(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	if a := at.Addr().Unmap(); a.Is4() {
		return a.String()
	}
	network, _ := at.Addr().WithZone("").Prefix(64) // of IPv6
	return network.String()
}
