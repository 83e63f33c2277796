package outbound

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"

	"usersync/internal/usersync"
)

// Guard decides which addresses may be dialled. It refuses addresses that are not
// public, unless Allow covers them. It always refuses this process's own listeners.
// The zero Guard allows public addresses and nothing else. A Guard is safe for
// concurrent use, if its fields do not change once it is in use.
//
// The address is checked at the moment it is dialled, after the name was resolved. So
// a name that resolves differently the second time is caught.
//
// A Guard cannot recognize public addresses that lead back into the private network,
// such as the public address of a translator, or a NAT64 prefix that the operator
// chose from the public space.
type Guard struct {
	// Allow lists what may be dialled although it is not public (EGRESS_ALLOW).
	Allow []netip.Prefix
	// Own lists the addresses this process listens on. A wildcard address stands
	// for its port on every address of this machine.
	Own []netip.AddrPort
	// Exempt lists own listeners that may be dialled nevertheless, such as the demo
	// receiver. Allow must cover their addresses too, unless they are public.
	Exempt []netip.AddrPort
}

// public refuses all addresses that IANA's registries do not list for public unicast
// use. For IPv6 those are all addresses outside 2000::/3 and the special ranges in
// it, so IPv4-mapped, IPv4-compatible and NAT64 addresses, 6to4 and Teredo are
// refused too. This package adds what the library lacks: one public address at which
// a cloud's metadata service answers, own listeners, the unmapping of IPv4-mapped
// addresses before an allowed CIDR is looked for, and the check of the IPv4 address
// inside a translated one. This package and not the library looks up the allowed
// CIDRs, because they also decide about http and about that inner address.
var public = ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(azureMetadata))

// azureMetadata is a public address at which every Azure machine reaches its host:
// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
// The metadata addresses of other clouds are link-local, shared or unique local.
var azureMetadata = netip.MustParsePrefix("168.63.129.16/32")

// Control is for net.Dialer.Control. It returns an error of code invalid for an
// address that may not be dialled. The cause names the address. The error is not for
// tenants, who must not learn which names resolve in the operator's network: they are
// told the same as of a name that does not resolve.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	target, err := dialled(network, address)
	if err != nil {
		return refused(err)
	}
	return g.check(target)
}

// controlPlain is Control for connections without TLS. They may only go to addresses
// that Allow covers.
func (g *Guard) controlPlain(network, address string, _ syscall.RawConn) error {
	target, err := dialled(network, address)
	if err != nil {
		return refused(err)
	}
	return g.checkPlain(target)
}

// dialled parses the address that a dialer is about to dial.
func dialled(network, address string) (netip.AddrPort, error) {
	if network != "tcp4" && network != "tcp6" {
		return netip.AddrPort{}, fmt.Errorf("network %q is not TCP", network)
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.AddrPort{}, errors.New("the address to dial is not an IP address and a port")
	}
	return target, nil
}

func (g *Guard) check(target netip.AddrPort) error {
	target = plainAddress(target)
	if g.isOwn(target) {
		return refused(fmt.Errorf("%s is this process's own listener", target))
	}
	if err := g.checkAddr(target.Addr()); err != nil {
		return refused(err)
	}
	return nil
}

func (g *Guard) checkPlain(target netip.AddrPort) error {
	if err := g.check(target); err != nil {
		return err
	}
	if addr := plainAddress(target).Addr(); !g.allows(addr) {
		return refused(fmt.Errorf("http is not allowed to %s", addr))
	}
	return nil
}

// checkAddr checks an unmapped address. If it carries an IPv4 address for a
// translator, both addresses must pass: an operator who allows 64:ff9b::/96, in order
// to reach IPv4 at all, has not allowed the private addresses behind it.
func (g *Guard) checkAddr(addr netip.Addr) error {
	if !g.allows(addr) {
		return public.SafeAddr(addr)
	}
	if inner, ok := embedded(addr); ok {
		return g.checkAddr(inner)
	}
	return nil
}

func (g *Guard) allows(addr netip.Addr) bool {
	for _, prefix := range g.Allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func (g *Guard) isOwn(target netip.AddrPort) bool {
	return listens(g.Own, target) && !listens(g.Exempt, target)
}

// listens reports whether dialling target would reach one of the listeners.
func listens(listeners []netip.AddrPort, target netip.AddrPort) bool {
	for _, listener := range listeners {
		if listener.Port() == target.Port() && reaches(target.Addr(), plainAddress(listener).Addr()) {
			return true
		}
	}
	return false
}

// reaches reports whether dialling addr may reach a listener on own. The unspecified
// address reaches this machine.
func reaches(addr, own netip.Addr) bool {
	if addr == own || addr.IsUnspecified() {
		return true
	}
	return own.IsUnspecified() && isLocal(addr)
}

// isLocal reports whether addr belongs to this machine. It asks the interfaces each
// time, because addresses come and go. It is only called for ports that this process
// listens on.
func isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return true // it is not known, so the address is refused
	}
	for _, i := range interfaces {
		if prefix, err := netip.ParsePrefix(i.String()); err == nil && prefix.Addr().Unmap() == addr {
			return true
		}
	}
	return false
}

// plainAddress returns the one form of an address that is compared. It unmaps the
// IPv6 form of an IPv4 address and drops the zone.
func plainAddress(target netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(target.Addr().Unmap().WithZone(""), target.Port())
}

// In these ranges an IPv6 address carries an IPv4 address.
var (
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291, section 2.5.5.1
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052, section 2.1
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056, section 2
	teredo     = netip.MustParsePrefix("2001::/32")    // RFC 4380, section 4
)

// embedded returns the IPv4 address that addr carries. 64:ff9b:1::/48 (RFC 8215) is
// left out, because only its operator knows where the IPv4 address stands in it.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() || addr.IsLoopback() || addr.IsUnspecified() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case compatible.Contains(addr), nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case teredo.Contains(addr): // the client's address, its bits inverted
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	}
	return netip.Addr{}, false
}

// refused returns an error of code invalid, not of code rejected: the tenant gave the
// address and must change it, and the other side was never asked.
func refused(cause error) error {
	return usersync.Errorf(usersync.CodeInvalid, "The address is not allowed: expected a public address, reached by https.").Because(cause)
}
