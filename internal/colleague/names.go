package colleague

import "usersync/internal/identity"

// names numbers the full names of one company. Names that share a form
// (identity.FoldName) have the same number, also through a third: Müller shares
// one with Muller and one with Mueller.
type names struct {
	numbers map[string]int // by form
	parents []int          // parents[n-1] is a number that n is the same as; its own when it stands for itself
}

// add returns a number for a name, 0 for no full name. It is final when all
// names are in: see root.
func (n *names) add(name string) int {
	forms := identity.FoldName(name)
	if len(forms) == 0 {
		return 0
	}
	first := n.number(forms[0])
	for _, form := range forms[1:] {
		n.join(first, n.number(form))
	}
	return first
}

func (n *names) number(form string) int {
	if number, ok := n.numbers[form]; ok {
		return number
	}
	if n.numbers == nil {
		n.numbers = map[string]int{}
	}
	number := len(n.parents) + 1
	n.parents = append(n.parents, number)
	n.numbers[form] = number
	return number
}

func (n *names) join(a, b int) {
	a, b = n.root(a), n.root(b)
	n.parents[max(a, b)-1] = min(a, b)
}

// root returns the number that stands for all names that are the same as this.
func (n *names) root(number int) int {
	for number != 0 && n.parents[number-1] != number {
		number = n.parents[number-1]
	}
	return number
}

// known returns the numbers of a name among those that are in.
func (n *names) known(name string) []int {
	var numbers []int
	for _, form := range identity.FoldName(name) {
		if number, ok := n.numbers[form]; ok {
			numbers = append(numbers, n.root(number))
		}
	}
	return numbers
}
